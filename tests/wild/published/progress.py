"""Callbacks that print progress and measure time."""

import sys
import time

import keras
import numpy as np
from keras.callbacks import Callback, LambdaCallback


class TimeHistory(Callback):
    """Seconds of each epoch, in a list."""

    def on_train_begin(self, logs={}):
        self.times = []

    def on_epoch_begin(self, batch, logs={}):
        self.epoch_time_start = time.time()

    def on_epoch_end(self, batch, logs={}):
        self.times.append(time.time() - self.epoch_time_start)


class ETA(Callback):
    """Print the time that is left."""

    def on_train_begin(self, logs=None):
        self.start = time.time()

    def on_epoch_end(self, epoch, logs=None):
        done = epoch + 1
        left = (time.time() - self.start) / done * (self.params["epochs"] - done)
        print(f"{done}/{self.params['epochs']} ETA {left:.2f}s")


class BatchTimer(Callback):
    """Time of the batches, with a warm-up."""

    def on_train_begin(self, logs=None):
        self.durations = []

    def on_train_batch_begin(self, batch, logs=None):
        self.t0 = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.durations.append(time.perf_counter() - self.t0)

    def on_train_end(self, logs=None):
        print(len(self.durations), "batches", "timed" if np.mean(self.durations[1:]) > 0 else "")


class TqdmLike(Callback):
    """A bar by hand, from the parameters of the training."""

    def on_train_begin(self, logs=None):
        self.epochs = self.params["epochs"]
        self.total = self.params["steps"]

    def on_epoch_begin(self, epoch, logs=None):
        self.seen = 0
        sys.stdout.write("Epoch %d/%d " % (epoch + 1, self.epochs))

    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1
        if self.seen == self.total:
            sys.stdout.write("[%s]" % ("#" * self.seen))

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        parts = ["%s: %.4f" % (k, logs[k]) for k in sorted(logs)]
        sys.stdout.write(" " + " - ".join(parts) + "\n")


class NBatchLogger(Callback):
    """Means over the last n batches, for the metrics that Keras 2 listed in the parameters."""

    def __init__(self, display):
        self.step = 0
        self.display = display
        self.metric_cache = {}

    def on_batch_end(self, batch, logs={}):
        self.step += 1
        for k in self.params["metrics"]:
            if k in logs:
                self.metric_cache[k] = self.metric_cache.get(k, 0) + logs[k]
        if self.step % self.display == 0:
            metrics_log = ""
            for k, v in sorted(self.metric_cache.items()):
                val = v / self.display
                metrics_log += " - %s: %.4f" % (k, val) if abs(val) > 1e-3 else " - %s: %.4e" % (k, val)
            print("step: {}/{} ... {}".format(self.step, self.params["steps"], metrics_log))
            self.metric_cache.clear()


class OldParams(Callback):
    """Number of epochs under its name in Keras 1, or in Keras 2."""

    def on_train_begin(self, logs={}):
        self.nb_epoch = self.params.get("nb_epoch") or self.params["epochs"]
        print("training for", self.nb_epoch, "epochs, verbose", self.params["verbose"])


class SampleCounter(Callback):
    """Count samples against the parameters of Keras 2."""

    def on_train_begin(self, logs={}):
        print("samples", self.params["samples"], "in batches of", self.params["batch_size"])


class ValidationFlag(Callback):
    """Ask the parameters of Keras 2 whether there is a validation."""

    def on_train_begin(self, logs={}):
        print("validates" if self.params["do_validation"] else "does not validate")


class PrintEveryN(Callback):
    """One line every n epochs."""

    def __init__(self, n=2):
        super().__init__()
        self.n = n

    def on_epoch_end(self, epoch, logs=None):
        if epoch % self.n == 0:
            print(
                "Epoch {:>2} | ".format(epoch) + " | ".join(f"{k}: {v:.3f}" for k, v in sorted(logs.items()))
            )


class PrintDot(Callback):
    """A dot for each epoch, as in a regression tutorial."""

    def on_epoch_end(self, epoch, logs):
        if epoch % 100 == 0:
            print("")
        print(".", end="")


class LossAndErrorPrinting(keras.callbacks.Callback):
    """What training and evaluation see, as in the guide to writing callbacks."""

    def on_train_batch_end(self, batch, logs=None):
        print("Up to batch {}, the average loss is {:7.2f}.".format(batch, logs["loss"]))

    def on_test_batch_end(self, batch, logs=None):
        print("Up to batch {}, the average loss is {:7.2f}.".format(batch, logs["loss"]))

    def on_epoch_end(self, epoch, logs=None):
        print("The average loss for epoch {} is {:7.2f}".format(epoch, logs["loss"]))


class CustomCallback(keras.callbacks.Callback):
    """Print every stage and the names in its logs, as in the guide to writing callbacks."""

    def on_train_begin(self, logs=None):
        print("Starting training; got log keys: {}".format(sorted(logs.keys())))

    def on_train_end(self, logs=None):
        print("Stop training; got log keys: {}".format(sorted(logs.keys())))

    def on_epoch_begin(self, epoch, logs=None):
        print("Start epoch {} of training; got log keys: {}".format(epoch, sorted(logs.keys())))

    def on_epoch_end(self, epoch, logs=None):
        print("End epoch {} of training; got log keys: {}".format(epoch, sorted(logs.keys())))

    def on_test_begin(self, logs=None):
        print("Start testing; got log keys: {}".format(sorted(logs.keys())))

    def on_test_end(self, logs=None):
        print("Stop testing; got log keys: {}".format(sorted(logs.keys())))

    def on_train_batch_begin(self, batch, logs=None):
        print("...Training: start of batch {}; got log keys: {}".format(batch, sorted(logs.keys())))

    def on_train_batch_end(self, batch, logs=None):
        print("...Training: end of batch {}; got log keys: {}".format(batch, sorted(logs.keys())))

    def on_test_batch_begin(self, batch, logs=None):
        print("...Evaluating: start of batch {}; got log keys: {}".format(batch, sorted(logs.keys())))

    def on_test_batch_end(self, batch, logs=None):
        print("...Evaluating: end of batch {}; got log keys: {}".format(batch, sorted(logs.keys())))


class ProgbarInside(Callback):
    """Draw with the library's own progress bar."""

    def on_epoch_begin(self, epoch, logs=None):
        self.bar = keras.utils.Progbar(self.params["steps"], verbose=2)

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update(batch + 1)


def lambda_print_batches():
    return LambdaCallback(on_batch_begin=lambda batch, logs: print(batch, end=" "))


def lambda_dump(lines):
    return LambdaCallback(
        on_epoch_begin=lambda epoch, logs: lines.append(("begin", epoch)),
        on_epoch_end=lambda epoch, logs: lines.append((epoch, round(logs["loss"], 4))),
        on_train_end=lambda logs: lines.append("end"),
    )
