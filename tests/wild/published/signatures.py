"""Ways in which published callbacks spell their methods."""

import functools

import keras
from keras.callbacks import Callback, History


class LossHistory(keras.callbacks.Callback):
    """The losses of all batches, with a dict as default."""

    def on_train_begin(self, logs={}):
        self.losses = []

    def on_batch_end(self, batch, logs={}):
        self.losses.append(logs.get("loss"))


class OtherNames(Callback):
    """Arguments under names of their own; logs are positional outside of batches."""

    def on_train_begin(self, log={}):
        self.seen = []

    def on_epoch_begin(self, number, log={}):
        self.seen.append(("begin", number, sorted(log)))

    def on_epoch_end(self, e, l={}):
        self.seen.append(("end", e, round(l["loss"], 4)))


class StarArguments(Callback):
    """Everything through *args and **kwargs."""

    def on_train_begin(self, *args, **kwargs):
        self.seen = []

    def on_epoch_end(self, *args, **kwargs):
        epoch = args[0]
        logs = args[1] if len(args) > 1 else kwargs["logs"]
        self.seen.append((epoch, sorted(logs)))

    def on_batch_end(self, batch, *args, **kwargs):
        logs = args[0] if args else kwargs["logs"]
        self.seen.append((batch, sorted(logs)))


class SuperEverywhere(Callback):
    """super() in every method."""

    def __init__(self, **kwargs):
        super(SuperEverywhere, self).__init__()
        self.batches = 0

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_begin(self, batch, logs=None):
        super().on_train_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs=logs)

    def on_batch_end(self, batch, logs=None):
        super().on_batch_end(batch, logs)
        self.batches += 1

    def on_test_batch_end(self, batch, logs=None):
        super().on_test_batch_end(batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs=logs)

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        print("batches", self.batches)


def counted(method):
    """A decorator without functools.wraps."""

    def wrapper(self, *args, **kwargs):
        self.calls = getattr(self, "calls", 0) + 1
        return method(self, *args, **kwargs)

    return wrapper


def noisy(method):
    """A decorator with functools.wraps."""

    @functools.wraps(method)
    def wrapper(self, *args, **kwargs):
        print(method.__name__)
        return method(self, *args, **kwargs)

    return wrapper


class Decorated(Callback):
    """Methods in decorators of both kinds."""

    @counted
    def on_epoch_end(self, epoch, logs=None):
        self.last = (epoch, sorted(logs))

    @noisy
    def on_train_end(self, logs=None):
        print(self.calls, self.last)


class SetsItsOwnModel(Callback):
    """set_model and set_params without super, as in Keras 1 and 2."""

    def set_model(self, model):
        self.model = model

    def set_params(self, params):
        self.params = params

    def on_train_end(self, logs=None):
        print(self.params["epochs"], self.model.stop_training)


class ExtendedHistory(History):
    """History that counts its epochs too."""

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.count = 0

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        self.count += 1


class CallbackOfCallbacks(Callback):
    """Forward every stage to other callbacks."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def set_model(self, model):
        super().set_model(model)
        for each in self.inner:
            each.set_model(model)

    def set_params(self, params):
        super().set_params(params)
        for each in self.inner:
            each.set_params(params)

    def on_train_begin(self, logs=None):
        for each in self.inner:
            each.on_train_begin(logs)

    def on_epoch_begin(self, epoch, logs=None):
        for each in self.inner:
            each.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch, logs=None):
        for each in self.inner:
            each.on_epoch_end(epoch, logs)

    def on_train_end(self, logs=None):
        for each in self.inner:
            each.on_train_end(logs)


class AddsToLogs(Callback):
    """A metric of its own, for the callbacks after it."""

    def on_epoch_end(self, epoch, logs=None):
        logs["gap"] = logs["val_loss"] - logs["loss"]


class ReadsTheGap(Callback):
    """Read what the callback before it added."""

    def on_epoch_end(self, epoch, logs=None):
        print("gap {:.4f}".format(logs["gap"]))


class ReplacesLogs(Callback):
    """Change a metric for History."""

    def on_epoch_end(self, epoch, logs=None):
        logs["loss"] = -1.0


class LegacyEverything(Callback):
    """All methods of Keras 1, with the old form of super."""

    def __init__(self):
        super(LegacyEverything, self).__init__()
        self.order = []

    def on_train_begin(self, logs={}):
        self.order.append("train")

    def on_epoch_begin(self, epoch, logs={}):
        self.order.append("epoch %d" % epoch)

    def on_batch_begin(self, batch, logs={}):
        self.order.append("batch %d" % batch)

    def on_batch_end(self, batch, logs={}):
        self.order.append("end %d" % batch)

    def on_epoch_end(self, epoch, logs={}):
        self.order.append("epoch end %d" % epoch)

    def on_train_end(self, logs={}):
        self.order.append("train end")


class ResetsMetrics(Callback):
    """Reset the metrics of the model in the middle of an epoch, and read their names."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.reset_metrics()
        print(sorted(name for name in logs if not name.startswith("val_")))


class ShrinksL2(Callback):
    """Read attributes that a compiled model has."""

    def on_train_begin(self, logs=None):
        print(self.model.name == "wild", len(self.model.layers), self.model.built)
