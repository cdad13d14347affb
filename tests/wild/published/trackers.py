"""Callbacks of experiment trackers and notifiers, with their client passed in."""

import time

import keras
import numpy as np
from keras.callbacks import Callback


class WandbLikeCallback(keras.callbacks.Callback):
    """Log epochs, batches and the optimizer's rate to a run."""

    def __init__(self, run, log_batch_frequency=None):
        super().__init__()
        self.run_ = run
        self.log_batch_frequency = log_batch_frequency
        self.global_step = 0

    def on_train_begin(self, logs=None, **kwargs):
        self.run_.log({"config/epochs": self.params.get("epochs")})

    def on_train_batch_end(self, batch, logs=None):
        if self.log_batch_frequency and batch % self.log_batch_frequency == 0:
            self.run_.log({f"batch/{k}": round(v, 4) for k, v in (logs or {}).items()})
        self.global_step += 1

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else {f"epoch/{k}": round(float(v), 4) for k, v in logs.items()}
        logs["epoch/epoch"] = epoch
        logs["epoch/learning_rate"] = round(self._lr(), 5)
        self.run_.log(logs)

    def _lr(self):
        return float(np.asarray(self.model.optimizer.learning_rate.numpy()).item())


class MLflowLikeCallback(Callback):
    """Log parameters once, then metrics with steps."""

    def __init__(self, client):
        super().__init__()
        self.client = client

    def on_train_begin(self, logs=None):
        for param, value in sorted(self.params.items()):
            if param not in ("epochs", "steps", "verbose"):
                continue
            self.client.log(("param", param, value))
        config = self.model.optimizer.get_config()
        self.client.log(("param", "opt_name", config["name"].split("_")[0].lower()))

    def on_epoch_end(self, epoch, logs=None):
        for name, value in sorted((logs or {}).items()):
            self.client.log(("metric", name, round(float(value), 4), epoch))

    def on_train_end(self, logs=None):
        lines = []
        self.model.summary(print_fn=lambda line, *args, **kwargs: lines.append(line))
        self.client.log(("summary", bool("".join(map(str, lines)))))


class NeptuneLikeCallback(Callback):
    """Append values to series by name, for train, test and batches."""

    def __init__(self, run, base_namespace="training", log_on_batch=True):
        super().__init__()
        self._run = run
        self._base_namespace = base_namespace
        self._log_on_batch = log_on_batch

    def _log_metrics(self, logs, category, trigger):
        if not logs:
            return
        for metric, value in sorted(logs.items()):
            if metric in ("batch", "size") or metric.startswith("val_"):
                continue
            self._run.log((f"{self._base_namespace}/{category}/{trigger}/{metric}", round(float(value), 4)))

    def on_train_batch_end(self, batch, logs=None):
        if self._log_on_batch:
            self._log_metrics(logs, "train", "batch")

    def on_epoch_end(self, epoch, logs=None):
        self._log_metrics(logs, "train", "epoch")

    def on_test_batch_end(self, batch, logs=None):
        if self._log_on_batch:
            self._log_metrics(logs, "test", "batch")

    def on_test_end(self, logs=None):
        self._log_metrics(logs, "test", "epoch")


class CometLikeCallback(Callback):
    """Wrap stages in contexts, and log steps."""

    def __init__(self, experiment):
        super(CometLikeCallback, self).__init__()
        self.experiment = experiment
        self.step = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.experiment.log(("set_epoch", epoch))

    def on_train_batch_begin(self, batch, logs=None):
        self.step += 1

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is not None and self.step % 5 == 0:
            self.experiment.log(("loss", round(float(loss), 4), self.step))

    def on_test_begin(self, logs=None):
        self.experiment.log(("validate", self.step))

    def on_train_end(self, logs=None):
        self.experiment.log(("end", sorted(logs or {})))


class SlackNotifier(Callback):
    """Post a message at the start, after each epoch and at the end."""

    def __init__(self, send, name="model"):
        super().__init__()
        self.send = send
        self.name = name

    def on_train_begin(self, logs={}):
        self.send("*{}* training started for {} epochs".format(self.name, self.params["epochs"]))

    def on_epoch_end(self, epoch, logs={}):
        text = ", ".join("{}: {:.3f}".format(k, v) for k, v in sorted(logs.items()))
        self.send("epoch {} — {}".format(epoch + 1, text))

    def on_train_end(self, logs={}):
        self.send("*{}* done".format(self.name))


class TelegramCallback(Callback):
    """Notify only when the validation improves."""

    def __init__(self, send, monitor="val_loss"):
        super(TelegramCallback, self).__init__()
        self.send, self.monitor, self.best = send, monitor, None

    def on_epoch_end(self, epoch, logs=None):
        value = logs.get(self.monitor)
        if self.best is None or value < self.best:
            self.best = value
            self.send(f"epoch {epoch}: {self.monitor} = {value:.4f}")


class PlotLearning(Callback):
    """Redraw one figure with all metrics after each epoch."""

    def on_train_begin(self, logs={}):
        self.metrics = {}
        for metric in logs:
            self.metrics[metric] = []

    def on_epoch_end(self, epoch, logs={}):
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt

        for metric in logs:
            self.metrics.setdefault(metric, []).append(logs.get(metric))
        names = [name for name in logs if "val" not in name]
        figure, axes = plt.subplots(1, len(names), figsize=(4, 2))
        for axis, name in zip(np.atleast_1d(axes), names):
            axis.plot(range(1, epoch + 2), self.metrics[name], label=name)
            if "val_" + name in logs:
                axis.plot(range(1, epoch + 2), self.metrics["val_" + name], label="val_" + name)
        figure.savefig("learning.png")
        plt.close(figure)


class Heartbeat(Callback):
    """Touch a file with the position, for a watchdog."""

    def __init__(self, path="heartbeat"):
        super().__init__()
        self.path = path

    def on_train_batch_end(self, batch, logs=None):
        with open(self.path, "w") as file:
            file.write(f"{batch} {time.time()}")


class PruningCallback(Callback):
    """Report to a trial and stop when it says so."""

    def __init__(self, trial, monitor="val_loss", interval=1):
        super().__init__()
        self._trial, self._monitor, self._interval = trial, monitor, interval

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self._interval != 0:
            return
        logs = logs or {}
        current_score = logs.get(self._monitor)
        if current_score is None:
            return
        self._trial.log(round(float(current_score), 4))
        if len(self._trial.lines) >= 3:
            print("Trial was pruned at epoch {}.".format(epoch))
            self.model.stop_training = True


class TrialPruned(Exception):
    """A trial that is not worth going on."""


class RaisingPruner(Callback):
    """Raise to end the training."""

    def __init__(self, epoch):
        super().__init__()
        self.at = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.at:
            raise TrialPruned("Trial was pruned at epoch %d." % epoch)


class TunerReporter(Callback):
    """Report metrics under other names, by keyword arguments."""

    def __init__(self, report, metrics):
        super().__init__()
        self.report, self.metrics = report, metrics

    def on_epoch_end(self, epoch, logs=None):
        self.report(**{key: round(float(logs[name]), 4) for key, name in self.metrics.items()}, done=epoch)
