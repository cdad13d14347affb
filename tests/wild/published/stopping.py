"""Callbacks that stop a training, written from scratch or on EarlyStopping."""

import time
import warnings

import keras
import numpy as np
from keras.callbacks import Callback, EarlyStopping


class EarlyStoppingAtMinLoss(keras.callbacks.Callback):
    """Stop when the loss is at its minimum, as in the guide to writing callbacks."""

    def __init__(self, patience=0):
        super().__init__()
        self.patience = patience
        self.best_weights = None

    def on_train_begin(self, logs=None):
        self.wait = 0
        self.stopped_epoch = 0
        self.best = np.inf

    def on_epoch_end(self, epoch, logs=None):
        current = logs.get("val_loss")
        if np.less(current, self.best):
            self.best = current
            self.wait = 0
            self.best_weights = self.model.get_weights()
        else:
            self.wait += 1
            if self.wait >= self.patience:
                self.stopped_epoch = epoch
                self.model.stop_training = True
                print("Restoring model weights from the end of the best epoch.")
                self.model.set_weights(self.best_weights)

    def on_train_end(self, logs=None):
        if self.stopped_epoch > 0:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")


class TimeStopping(Callback):
    """Stop after a number of seconds."""

    def __init__(self, seconds=None, verbose=0):
        super(TimeStopping, self).__init__()
        self.start = 0
        self.seconds = seconds
        self.verbose = verbose

    def on_train_begin(self, logs={}):
        self.start = time.time()

    def on_epoch_end(self, epoch, logs={}):
        if time.time() - self.start > self.seconds:
            self.model.stop_training = True
            if self.verbose:
                print("Stopping after %s seconds." % self.seconds)


class TerminateOnBaseline(Callback):
    """Stop as soon as a metric reaches a value."""

    def __init__(self, monitor="accuracy", baseline=0.9):
        super(TerminateOnBaseline, self).__init__()
        self.monitor = monitor
        self.baseline = baseline

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        acc = logs.get(self.monitor)
        if acc is not None:
            if acc >= self.baseline:
                print("Epoch %d: Reached baseline, terminating training" % (epoch))
                self.model.stop_training = True


class EarlyStoppingByLossVal(Callback):
    """Stop below a loss, warn if it is not there."""

    def __init__(self, monitor="val_loss", value=0.00001, verbose=0):
        super(Callback, self).__init__()
        self.monitor = monitor
        self.value = value
        self.verbose = verbose

    def on_epoch_end(self, epoch, logs={}):
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn("Early stopping requires %s available!" % self.monitor, RuntimeWarning)
        if current < self.value:
            if self.verbose > 0:
                print("Epoch %05d: early stopping THR" % epoch)
            self.model.stop_training = True


class MultiMetricStopping(Callback):
    """Stop when none of several metrics improves."""

    def __init__(self, monitors=("val_loss", "val_accuracy"), modes=("min", "max"), patience=2):
        super().__init__()
        self.monitors, self.modes, self.patience = monitors, modes, patience

    def on_train_begin(self, logs=None):
        self.best = {m: np.inf if mode == "min" else -np.inf for m, mode in zip(self.monitors, self.modes)}
        self.waits = dict.fromkeys(self.monitors, 0)

    def on_epoch_end(self, epoch, logs=None):
        for monitor, mode in zip(self.monitors, self.modes):
            value = logs[monitor]
            better = value < self.best[monitor] if mode == "min" else value > self.best[monitor]
            if better:
                self.best[monitor], self.waits[monitor] = value, 0
            else:
                self.waits[monitor] += 1
        if all(wait >= self.patience for wait in self.waits.values()):
            self.model.stop_training = True
            print("no metric improves", epoch)


class DelayedEarlyStopping(EarlyStopping):
    """EarlyStopping that begins later."""

    def __init__(self, monitor="val_loss", start_epoch=3, **kwargs):
        super(DelayedEarlyStopping, self).__init__(monitor=monitor, **kwargs)
        self.start_epoch = start_epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch > self.start_epoch:
            super().on_epoch_end(epoch, logs)


class ChattyEarlyStopping(EarlyStopping):
    """EarlyStopping that prints its own state after each epoch."""

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        print("patience", self.patience, "monitor", self.monitor)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        print(f"epoch {epoch} wait {self.wait} best {float(self.best):.5f} stopped {self.stopped_epoch}")

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        print("best epoch", self.best_epoch)


class OverfitStopping(Callback):
    """Stop when the validation loss leaves the training loss behind."""

    def __init__(self, ratio=1.0, patience=2, verbose=1):
        super().__init__()
        self.ratio, self.patience, self.verbose, self.count = ratio, patience, verbose, 0

    def on_epoch_end(self, epoch, logs=None):
        self.count = self.count + 1 if logs["val_loss"] / logs["loss"] > self.ratio else 0
        if self.count >= self.patience:
            if self.verbose:
                print(f"overfitting since epoch {epoch - self.patience + 1}")
            self.model.stop_training = True


class SlopeStopping(Callback):
    """Stop when the line through the last losses is flat."""

    def __init__(self, window=3, threshold=0.005):
        super().__init__()
        self.window, self.threshold, self.losses = window, threshold, []

    def on_epoch_end(self, epoch, logs=None):
        self.losses.append(logs["loss"])
        if len(self.losses) >= self.window:
            slope = np.polyfit(range(self.window), self.losses[-self.window :], 1)[0]
            print("slope %.4f" % slope)
            if abs(slope) < self.threshold:
                self.model.stop_training = True


class MaxBatches(Callback):
    """Stop in the middle of an epoch."""

    def __init__(self, batches):
        super().__init__()
        self.batches, self.seen = batches, 0

    def on_batch_end(self, batch, logs=None):
        self.seen += 1
        if self.seen >= self.batches:
            self.model.stop_training = True


class StopAtAccuracy(keras.callbacks.Callback):
    """The callback of an introductory course."""

    def on_epoch_end(self, epoch, logs={}):
        if logs.get("accuracy") > 0.7:
            print("\nReached 70% accuracy so cancelling training!")
            self.model.stop_training = True


class LossTargets(Callback):
    """Stop at a target, else print the distance to it."""

    def __init__(self, target):
        self.target = target

    def on_epoch_end(self, epoch, logs=None):
        distance = logs["loss"] - self.target
        if distance <= 0:
            self.model.stop_training = True
        else:
            print("{:.3f} to go".format(distance))
