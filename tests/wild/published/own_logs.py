"""Callbacks that keep logs and parameters: histories, plots, trackers, timing."""

import collections
import time

import keras
import numpy as np
from keras.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    ProgbarLogger,
    TerminateOnNaN,
)


class EveryStage(Callback):
    """All sixteen stages with what each receives."""

    def __init__(self):
        super().__init__()
        self.events = []


def _stage(name):
    def method(self, *args, logs=None):
        logs = logs if logs is not None else args[-1]
        numbers = [each for each in args if isinstance(each, int)]
        self.events.append(
            (name, numbers, {k: float(v) for k, v in sorted((logs or {}).items()) if k != "outputs"})
        )

    return method


for _name in (
    "on_train_begin",
    "on_train_end",
    "on_epoch_begin",
    "on_epoch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_begin",
    "on_test_end",
    "on_test_batch_begin",
    "on_test_batch_end",
):
    setattr(EveryStage, _name, _stage(_name))


class Parameters(Callback):
    """params as given to set_params, and as they are later."""

    def set_params(self, params):
        super().set_params(params)
        self.given = dict(params)

    def on_train_begin(self, logs=None):
        self.kept = [
            (name, self.given.get(name), self.params[name]) for name in ("epochs", "steps", "verbose")
        ]


class TotalSteps(Callback):
    """A total computed in set_params, where many progress bars do it."""

    def set_params(self, params):
        super().set_params(params)
        self.total = params["epochs"] * params["steps"]
        self.seen = 0

    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1

    def on_train_end(self, logs=None):
        print(self.seen, "of", self.total)


class MetricHistory(Callback):
    """The values of each batch, in a defaultdict."""

    def __init__(self):
        super().__init__()
        self.batches = collections.defaultdict(list)

    def on_train_batch_end(self, batch, logs=None):
        for name, value in logs.items():
            self.batches[name].append(float(value))


class Timing(Callback):
    """Times of epochs and batches; only their numbers are kept."""

    def on_train_begin(self, logs=None):
        self.epochs, self.batches, self.started = [], [], time.perf_counter()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch_start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(time.perf_counter() - self.epoch_start)
        logs["epoch_seconds_positive"] = float(self.epochs[-1] > 0)

    def on_train_batch_begin(self, batch, logs=None):
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(time.perf_counter() - self.start)

    def on_train_end(self, logs=None):
        print(len(self.epochs), len(self.batches))


class LivePlot(Callback):
    """Two axes, drawn anew after each epoch."""

    def on_train_begin(self, logs=None):
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt

        self.figure, self.axes = plt.subplots(1, 2)
        self.curves = {}

    def on_epoch_end(self, epoch, logs=None):
        for name, value in logs.items():
            self.curves.setdefault(name, []).append(value)
        for axis, end in zip(self.axes, ("loss", "accuracy")):
            axis.clear()
            for name in (end, "val_" + end):
                axis.plot(range(1, epoch + 2), self.curves[name], label=name)
            axis.legend()

    def on_train_end(self, logs=None):
        import matplotlib.pyplot as plt

        self.lines = [
            [line.get_label(), [float(v) for v in line.get_ydata()]]
            for axis in self.axes
            for line in axis.lines
        ]
        self.figure.savefig("curves.png")
        plt.close(self.figure)


class TrackerStub(Callback):
    """Config, metrics per batch and epoch, and the artifact, sent to a client."""

    def __init__(self, client):
        super().__init__()
        self.client, self.step = client, 0

    def on_train_begin(self, logs=None):
        optimizer = self.model.optimizer
        self.client(
            epochs=self.params["epochs"],
            rate=round(float(optimizer.learning_rate), 6),
            config="learning_rate" in optimizer.get_config(),
        )

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        self.client(step=self.step, **{"batch/" + k: round(float(v), 4) for k, v in logs.items()})

    def on_epoch_end(self, epoch, logs=None):
        self.client(epoch=epoch, **{"epoch/" + k: round(float(v), 4) for k, v in logs.items()})

    def on_train_end(self, logs=None):
        self.client(done=True, weights=len(self.model.get_weights()))


class CSVWithSuper(CSVLogger):
    """CSVLogger with super() in each method, and a column of its own."""

    def __init__(self, path):
        super().__init__(path, separator=",", append=False)

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, {**logs, "twice": 2 * logs["loss"]})

    def on_train_end(self, logs=None):
        super().on_train_end(logs)


class NaNWithSuper(TerminateOnNaN):
    """TerminateOnNaN with super(), that notes each batch."""

    def on_batch_end(self, batch, logs=None):
        super().on_batch_end(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)


class BarWithSuper(ProgbarLogger):
    """ProgbarLogger with super() in its methods, silenced."""

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)

    def on_test_begin(self, logs=None):
        super().on_test_begin(logs)

    def on_test_batch_end(self, batch, logs=None):
        super().on_test_batch_end(batch, logs)

    def on_test_end(self, logs=None):
        super().on_test_end(logs)


class BackupWithSuper(BackupAndRestore):
    """BackupAndRestore with super() in each method."""

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs=None):
        super().on_train_end(logs)


class LambdaWithSuper(LambdaCallback):
    """A LambdaCallback whose subclass adds a stage."""

    def __init__(self):
        super().__init__(on_epoch_begin=lambda epoch, logs: print("epoch", epoch))
        self.ends = []

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        self.ends.append(epoch)


class StopperWithSuper(EarlyStopping):
    """EarlyStopping with super() in each method, and its counters printed."""

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        print(self.wait, self.stopped_epoch)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        print(epoch, self.wait, round(float(self.best), 4), self.get_monitor_value(logs) == logs["val_loss"])

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        print("stopped", self.stopped_epoch, "best", self.best_epoch)


class HistoryOfBatches(History):
    """A History with the losses of batches, and its own dict replaced at the end."""

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        self.losses.append(float(logs["loss"]))

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        self.history["batches"] = list(self.losses)
