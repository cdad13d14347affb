"""Learning rates in the style of Keras 3: the optimizer's attribute is set or assigned."""

import keras
import numpy as np
from keras.callbacks import Callback


class CustomLearningRateScheduler(keras.callbacks.Callback):
    """A schedule of epoch and present rate, as in the guide to writing callbacks."""

    def __init__(self, schedule):
        super().__init__()
        self.schedule = schedule

    def on_epoch_begin(self, epoch, logs=None):
        if not hasattr(self.model.optimizer, "learning_rate"):
            raise ValueError('Optimizer must have a "learning_rate" attribute.')
        lr = self.model.optimizer.learning_rate
        scheduled_lr = self.schedule(epoch, float(lr))
        self.model.optimizer.learning_rate = scheduled_lr
        print(f"\nEpoch {epoch}: Learning rate is {float(np.array(scheduled_lr))}.")


class WarmupLearningRate(keras.callbacks.Callback):
    """Linear warm-up by assign, in every batch."""

    def __init__(self, target, steps):
        super().__init__()
        self.target, self.steps, self.done = target, steps, 0

    def on_train_batch_begin(self, batch, logs=None):
        if self.done < self.steps:
            self.done += 1
            self.model.optimizer.learning_rate.assign(self.target * self.done / self.steps)


class CosineAnnealing(Callback):
    """A cosine over the epochs, from the rate that the optimizer has at the start."""

    def __init__(self, epochs, eta_min=0.0):
        super().__init__()
        self.epochs, self.eta_min = epochs, eta_min

    def on_train_begin(self, logs=None):
        self.initial = float(self.model.optimizer.learning_rate)

    def on_epoch_begin(self, epoch, logs=None):
        cosine = (1 + np.cos(np.pi * epoch / self.epochs)) / 2
        self.model.optimizer.learning_rate = self.eta_min + (self.initial - self.eta_min) * cosine


class NoamSchedule(Callback):
    """The schedule of the transformer, from the optimizer's own step count."""

    def __init__(self, d_model, warmup):
        super().__init__()
        self.d_model, self.warmup = d_model, warmup

    def on_train_batch_begin(self, batch, logs=None):
        step = int(self.model.optimizer.iterations) + 1
        rate = self.d_model**-0.5 * min(step**-0.5, step * self.warmup**-1.5)
        self.model.optimizer.learning_rate = rate


class StepDecayByNumpy(Callback):
    """Read the variable by numpy(), write it by assign."""

    def __init__(self, every=2, factor=0.1):
        super().__init__()
        self.every, self.factor = every, factor

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            rate = self.model.optimizer.learning_rate
            rate.assign(rate.numpy() * self.factor)
            print("lr ->", f"{self.model.optimizer.learning_rate.numpy():.6g}")


class OneCycle(Callback):
    """Rate and momentum as plain attributes."""

    def __init__(self, max_lr, total, low=0.8, high=0.95):
        super().__init__()
        self.max_lr, self.total, self.low, self.high, self.step = max_lr, total, low, high, 0
        self.seen = []

    def on_train_batch_begin(self, batch, logs=None):
        where = abs(2 * self.step / self.total - 1)
        self.model.optimizer.learning_rate = self.max_lr * (1 - where) + 1e-4
        self.model.optimizer.momentum = self.low + (self.high - self.low) * where
        self.seen.append(float(self.model.optimizer.momentum))
        self.step += 1


class LRRangeTest(Callback):
    """Find the steepest descent with weights kept in memory, then put them back."""

    def __init__(self, lowest=1e-4, highest=1.0, steps=24):
        super().__init__()
        self.rates = np.geomspace(lowest, highest, steps)
        self.losses = []

    def on_train_begin(self, logs=None):
        self.saved = self.model.get_weights()
        self.step = 0

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = self.rates[self.step]

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(logs["loss"])
        self.step += 1
        if self.step >= len(self.rates) or np.isnan(logs["loss"]):
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        self.model.set_weights(self.saved)
        best = self.rates[int(np.argmin(np.gradient(self.losses)))]
        print("steepest at %.6f" % best)


class ScheduleObject(Callback):
    """Call a schedule of keras.optimizers.schedules by hand."""

    def __init__(self):
        super().__init__()
        self.schedule = keras.optimizers.schedules.PolynomialDecay(
            0.1, decay_steps=20, end_learning_rate=0.01
        )
        self.step = 0

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = float(self.schedule(self.step))
        self.step += 1


class OwnPlateau(Callback):
    """Divide the rate when a moving mean of val_loss does not fall, and log the rate."""

    def __init__(self, window=2, factor=3.0):
        super().__init__()
        self.window, self.factor, self.losses = window, factor, []

    def on_epoch_end(self, epoch, logs=None):
        self.losses.append(logs["val_loss"])
        recent = self.losses[-self.window :]
        if len(self.losses) > self.window and np.mean(recent) > np.mean(self.losses[-self.window - 1 : -1]):
            self.model.optimizer.learning_rate = float(self.model.optimizer.learning_rate) / self.factor
        logs["rate"] = float(self.model.optimizer.learning_rate)


class OptimizerConfigPrinter(Callback):
    """Print name and rate from the optimizer's configuration."""

    def on_train_begin(self, logs=None):
        config = self.model.optimizer.get_config()
        print("lr in config: {:.4f}".format(float(config["learning_rate"])))
