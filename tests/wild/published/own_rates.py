"""Schedules that keep objects of the optimizer, or build on the built-in schedulers."""

import math

import keras
import keras.backend as K
import numpy as np
from keras.callbacks import Callback, EarlyStopping, LearningRateScheduler, ReduceLROnPlateau


class KeepsTheVariable(Callback):
    """Take the variable once, and set it in each batch: the rate of the run must follow."""

    def on_train_begin(self, logs=None):
        self.variable = self.model.optimizer.learning_rate
        self.seen = []

    def on_train_batch_begin(self, batch, logs=None):
        step = int(self.model.optimizer.iterations.numpy())
        self.variable.assign(0.2 / (1 + step))
        self.seen.append(round(float(self.model.optimizer.learning_rate.numpy()), 6))


class AdjustsInPlace(Callback):
    """Arithmetic on the attribute: ``*=`` in each epoch, ``-=`` in each batch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch:
            self.model.optimizer.learning_rate *= 0.5

    def on_train_batch_end(self, batch, logs=None):
        self.model.optimizer.learning_rate -= 0.001


class TriangularPerEpoch(Callback):
    """Up in even epochs, down in odd ones, from ``params['steps']`` and the batch number."""

    def __init__(self, low, high):
        super().__init__()
        self.low, self.high, self.rates = low, high, []

    def on_epoch_begin(self, epoch, logs=None):
        self.up = epoch % 2 == 0

    def on_batch_begin(self, batch, logs=None):
        part = batch / max(1, self.params["steps"] - 1)
        part = part if self.up else 1 - part
        rate = self.low + part * (self.high - self.low)
        K.set_value(self.model.optimizer.lr, rate)
        self.rates.append(float(K.get_value(self.model.optimizer.lr)))


class SchedulerWithSuper(LearningRateScheduler):
    """LearningRateScheduler with super() in each method that it has."""

    def __init__(self, factor=0.7, verbose=1):
        super().__init__(self.next_rate, verbose=verbose)
        self.factor = factor

    def next_rate(self, epoch, lr):
        return lr * self.factor if epoch else lr

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs=logs)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        logs["rate"] = float(np.asarray(logs["learning_rate"]))


class PlateauWithSuper(ReduceLROnPlateau):
    """ReduceLROnPlateau that restores the best weights when it lowers the rate."""

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.best_weights, self.restored, self.lowest = None, [], math.inf

    def on_epoch_end(self, epoch, logs=None):
        before = float(self.model.optimizer.learning_rate)
        if logs[self.monitor] < self.lowest:
            self.lowest = logs[self.monitor]
            self.best_weights = self.model.get_weights()
        super().on_epoch_end(epoch, logs)
        if float(self.model.optimizer.learning_rate) < before and self.best_weights is not None:
            self.model.set_weights(self.best_weights)
            self.restored.append(epoch)
            print("restored, cooldown", self.cooldown_counter, "wait", self.wait)


class StopAndRestart(EarlyStopping):
    """EarlyStopping that lowers the rate and goes on, until it has done so twice."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.restarts = 0

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if self.model.stop_training and self.restarts < 2:
            self.restarts += 1
            self.model.stop_training = False
            self.wait = 0
            self.model.optimizer.learning_rate = float(self.model.optimizer.learning_rate) * 0.1
            print("restart", self.restarts, "after epoch", epoch)


class WarmRestartsPerBatch(Callback):
    """Cosine annealing with restarts that double, computed from a fraction of the epoch."""

    def __init__(self, high=0.2, low=0.001, first=1):
        super().__init__()
        self.high, self.low, self.length, self.start = high, low, first, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        if epoch - self.start >= self.length:
            self.start, self.length = epoch, self.length * 2
            print("restart at epoch", epoch)

    def on_train_batch_begin(self, batch, logs=None):
        done = (self.epoch - self.start + batch / self.params["steps"]) / self.length
        self.model.optimizer.learning_rate.assign(
            self.low + (self.high - self.low) * (1 + math.cos(math.pi * done)) / 2
        )


class RangeFinder(Callback):
    """Raise the rate exponentially; stop where the smoothed loss explodes, restore everything."""

    def __init__(self, low=1e-4, high=50.0, steps=24, beta=0.8):
        super().__init__()
        self.low, self.factor, self.beta = low, (high / low) ** (1 / steps), beta

    def on_train_begin(self, logs=None):
        self.initial = self.model.get_weights()
        self.rate_before = float(keras.backend.get_value(self.model.optimizer.learning_rate))
        self.average, self.best, self.step, self.losses = 0.0, math.inf, 0, []
        self.model.optimizer.learning_rate = self.low

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        self.average = self.beta * self.average + (1 - self.beta) * logs["loss"]
        smooth = self.average / (1 - self.beta**self.step)
        self.losses.append(smooth)
        if smooth > 1.5 * self.best:
            self.model.stop_training = True
            return
        self.best = min(self.best, smooth)
        self.model.optimizer.learning_rate = self.low * self.factor**self.step

    def on_train_end(self, logs=None):
        self.model.set_weights(self.initial)
        self.model.optimizer.learning_rate = self.rate_before
        print("tried", self.step)
