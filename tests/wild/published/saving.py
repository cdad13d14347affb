"""Callbacks that write models and records to files."""

import json
import os

import keras
from keras.callbacks import BackupAndRestore, Callback, CSVLogger, ModelCheckpoint


class SaveEveryN(Callback):
    """Save the whole model every n epochs."""

    def __init__(self, n, folder="."):
        super().__init__()
        self.n, self.folder = n, folder

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.n == 0:
            self.model.save(os.path.join(self.folder, f"model_{epoch + 1:03d}.keras"))


class EpochCheckpoint(Callback):
    """Save after every few epochs, counting from a start."""

    def __init__(self, outputPath, every=5, startAt=0):
        super(EpochCheckpoint, self).__init__()
        self.outputPath = outputPath
        self.every = every
        self.intEpoch = startAt

    def on_epoch_end(self, epoch, logs={}):
        if (self.intEpoch + 1) % self.every == 0:
            p = os.path.sep.join([self.outputPath, "epoch_{}.weights.h5".format(self.intEpoch + 1)])
            self.model.save_weights(p, overwrite=True)
        self.intEpoch += 1


class PeriodicCheckpoint(ModelCheckpoint):
    """ModelCheckpoint in every n-th epoch."""

    def __init__(self, filepath, period, **kwargs):
        super().__init__(filepath, **kwargs)
        self.every = period

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            super().on_epoch_end(epoch, logs)


class AnnouncingCheckpoint(ModelCheckpoint):
    """ModelCheckpoint that prints its best value."""

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        print("best so far %.5f" % self.best)


class BestCheckpointer(Callback):
    """The best weights by val_loss, loaded again at the end."""

    def __init__(self, path="best.weights.h5"):
        super().__init__()
        self.path, self.best = path, float("inf")

    def on_epoch_end(self, epoch, logs=None):
        if logs["val_loss"] < self.best:
            self.best = logs["val_loss"]
            self.model.save_weights(self.path)

    def on_train_end(self, logs=None):
        if os.path.exists(self.path):
            self.model.load_weights(self.path)


class ArchitectureDump(Callback):
    """Write the model's configuration as JSON before training."""

    def __init__(self, path="model.json"):
        super().__init__()
        self.path = path

    def on_train_begin(self, logs=None):
        with open(self.path, "w") as file:
            file.write(self.model.to_json())
        with open(self.path) as file:
            names = [layer["class_name"] for layer in json.load(file)["config"]["layers"]]
        print([name for name in names if name != "InputLayer"])


class LoadsItsModel(Callback):
    """Save a model at the end and load it."""

    def on_train_end(self, logs=None):
        self.model.save("final.keras")
        loaded = keras.models.load_model("final.keras")
        print("loaded", sum(weight.size for weight in loaded.get_weights()))


class AltModelCheckpoint(ModelCheckpoint):
    """Save another model than the one that trains."""

    def __init__(self, filepath, alternate_model, **kwargs):
        self.alternate_model = alternate_model
        super(AltModelCheckpoint, self).__init__(filepath, **kwargs)

    def on_epoch_end(self, epoch, logs=None):
        model_before = self.model
        self.set_model(self.alternate_model)
        super(AltModelCheckpoint, self).on_epoch_end(epoch, logs)
        self.set_model(model_before)


class RateCSVLogger(CSVLogger):
    """CSVLogger with the rate in a column of its own."""

    def on_epoch_end(self, epoch, logs=None):
        logs = dict(logs or {})
        logs["lr"] = float(self.model.optimizer.learning_rate)
        super().on_epoch_end(epoch, logs)


class BatchCSVLogger(Callback):
    """A row for each batch, by hand."""

    def __init__(self, path="batches.csv"):
        super().__init__()
        self.path = path

    def on_train_begin(self, logs=None):
        self.file = open(self.path, "w")
        self.file.write("batch,loss\n")

    def on_train_batch_end(self, batch, logs=None):
        self.file.write(f"{batch},{logs['loss']:.4f}\n")

    def on_train_end(self, logs=None):
        self.file.close()


class JSONHistory(Callback):
    """Write the logs of every epoch as lines of JSON."""

    def __init__(self, path="history.jsonl"):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        with open(self.path, "a") as file:
            file.write(json.dumps({"epoch": epoch, **{k: float(v) for k, v in logs.items()}}) + "\n")


class NotedBackup(BackupAndRestore):
    """BackupAndRestore that counts the epochs it backed up."""

    def __init__(self, folder):
        super().__init__(folder)
        self.count = 0

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs=logs)
        self.count += 1
        print("backup", self.count)
