"""Callbacks that use the model while it trains: evaluate, predict, save, change weights."""

import json
import os

import keras
import numpy as np
from keras.callbacks import Callback, CallbackList, ModelCheckpoint


class EvaluatesAsDict(Callback):
    """evaluate(return_dict=True), with sample weights, and add the result to the logs."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def on_epoch_end(self, epoch, logs=None):
        weights = np.linspace(0, 1, len(self.x))
        found = self.model.evaluate(
            self.x, self.y, batch_size=16, sample_weight=weights, verbose=0, return_dict=True
        )
        logs.update({"held_out_" + name: value for name, value in found.items()})


class PredictsOnEpochBegin(Callback):
    """predict with steps and with callbacks of its own, inside the training."""

    def __init__(self, x):
        super().__init__()
        self.x, self.sums = x, []

    def on_epoch_begin(self, epoch, logs=None):
        counter = CountsBatches()
        out = self.model.predict(self.x, batch_size=5, verbose=0, callbacks=[counter])
        self.sums.append((float(out.sum()), counter.count, counter.rows))


class CountsBatches(Callback):
    """Count the batches of a prediction and the rows of its outputs."""

    count = rows = 0

    def on_predict_batch_end(self, batch, logs=None):
        self.count += 1
        self.rows += len(logs["outputs"])


class ConfusionAtEnd(Callback):
    """A confusion matrix after each epoch, from predict and a threshold."""

    def __init__(self, validation):
        super().__init__()
        self.x, self.y = validation

    def on_epoch_end(self, epoch, logs=None):
        guess = (self.model.predict(self.x, verbose=0) > 0.5).astype(int).ravel()
        matrix = np.zeros((2, 2), int)
        np.add.at(matrix, (self.y.astype(int).ravel(), guess), 1)
        print("epoch", epoch, matrix.tolist())
        logs["val_specificity"] = matrix[0, 0] / max(1, matrix[0].sum())


class AverageOfWeights(Callback):
    """Exponential moving average of the weights, in set_weights before and after validation."""

    def __init__(self, decay=0.8):
        super().__init__()
        self.decay = decay

    def set_model(self, model):
        super().set_model(model)
        self.average = [np.array(each) for each in model.get_weights()]

    def on_train_batch_end(self, batch, logs=None):
        for mean, value in zip(self.average, self.model.get_weights()):
            mean *= self.decay
            mean += (1 - self.decay) * value

    def on_train_end(self, logs=None):
        self.model.set_weights(self.average)


class NoisyWeights(Callback):
    """Add noise to the trainable weights after each batch, by variable."""

    def __init__(self, scale=0.01, seed=0):
        super().__init__()
        self.scale, self.rng = scale, np.random.default_rng(seed)

    def on_train_batch_end(self, batch, logs=None):
        for weight in sorted(self.model.trainable_weights, key=lambda each: sorted(each.shape)):
            weight.assign(weight.numpy() + self.scale)


class SnapshotsInMemory(Callback):
    """Average the predictions of the weights at the end of each epoch."""

    def __init__(self, x):
        super().__init__()
        self.x, self.snapshots = x, []

    def on_epoch_end(self, epoch, logs=None):
        self.snapshots.append(self.model.get_weights())

    def on_train_end(self, logs=None):
        last = self.model.get_weights()
        outputs = []
        for weights in self.snapshots:
            self.model.set_weights(weights)
            outputs.append(self.model.predict(self.x, verbose=0))
        self.model.set_weights(last)
        self.mean = float(np.mean(outputs))


class StopsAtBatch(Callback):
    """Stop in the middle of an epoch: validation and the end of the epoch still follow."""

    def __init__(self, at):
        super().__init__()
        self.at, self.step, self.events = at, 0, []

    def on_train_batch_begin(self, batch, logs=None):
        self.events.append("batch %d" % batch)

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        if self.step == self.at:
            self.model.stop_training = True

    def on_test_begin(self, logs=None):
        self.events.append("test")

    def on_test_end(self, logs=None):
        self.events.append("test end %s" % sorted(logs or {}))

    def on_epoch_end(self, epoch, logs=None):
        self.events.append("epoch end %s" % sorted(logs))

    def on_train_end(self, logs=None):
        self.events.append("end %s" % sorted(logs or {}))


class StopsAtBatchBegin(Callback):
    """Stop when a batch, or an epoch, begins."""

    def __init__(self, batch=None, epoch=None):
        super().__init__()
        self.batch, self.epoch, self.events = batch, epoch, []

    def on_epoch_begin(self, epoch, logs=None):
        self.events.append(("epoch", epoch))
        if epoch == self.epoch:
            self.model.stop_training = True

    def on_train_batch_begin(self, batch, logs=None):
        self.events.append(("batch", batch))
        if batch == self.batch:
            self.model.stop_training = True

    def on_train_batch_end(self, batch, logs=None):
        self.events.append(("batch end", batch))

    def on_epoch_end(self, epoch, logs=None):
        self.events.append(("epoch end", epoch))


class StopsInValidation(Callback):
    """Set stop_training in a stage of the validation."""

    def on_test_batch_end(self, batch, logs=None):
        self.model.stop_training = True


class StopsAtTrainBegin(Callback):
    """Set stop_training before the first epoch."""

    def on_train_begin(self, logs=None):
        self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        print("epoch", epoch, "ran")


class TrainsByItself(Callback):
    """train_on_batch inside a callback: an extra step on the worst rows, and its logs."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y, self.results = x, y, []

    def on_epoch_end(self, epoch, logs=None):
        found = self.model.train_on_batch(self.x, self.y, return_dict=True)
        self.results.append({name: float(value) for name, value in found.items()})


class FitsAgain(Callback):
    """A short fit of the same model when the training ends."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y, self.losses = x, y, None

    def on_train_end(self, logs=None):
        if self.losses is None:
            self.losses = []
            again = self.model.fit(self.x, self.y, epochs=2, batch_size=8, shuffle=False, verbose=0)
            self.losses = [float(each) for each in again.history["loss"]]


class SavesWholeModel(Callback):
    """model.save in batches and epochs, load, and compare the predictions."""

    def __init__(self, x):
        super().__init__()
        self.x, self.equal = x, []

    def on_epoch_end(self, epoch, logs=None):
        path = "model-%02d.keras" % epoch
        self.model.save(path)
        loaded = keras.models.load_model(path)
        same = np.allclose(
            loaded.predict(self.x, verbose=0), self.model.predict(self.x, verbose=0), atol=1e-6
        )
        self.equal.append(bool(same))
        loaded.fit(self.x, np.zeros((len(self.x), 1)), epochs=1, verbose=0)


class CheckpointWithSuper(ModelCheckpoint):
    """ModelCheckpoint with super() in each method, and a JSON file of the logs beside the file."""

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        path = str(self.filepath).format(epoch=epoch + 1, **logs)
        if os.path.exists(path):
            with open(path + ".json", "w") as file:
                json.dump({name: float(value) for name, value in logs.items()}, file)

    def on_train_end(self, logs=None):
        super().on_train_end(logs)


class MovedCheckpoint(ModelCheckpoint):
    """A checkpoint whose folder is known only when the training begins."""

    def __init__(self, folder, **kwargs):
        super().__init__("unknown.weights.h5", save_weights_only=True, **kwargs)
        self.folder = folder

    def on_train_begin(self, logs=None):
        os.makedirs(self.folder, exist_ok=True)
        self.filepath = os.path.join(self.folder, "w-{epoch:02d}.weights.h5")
        super().on_train_begin(logs)


class OwnLoop(Callback):
    """A CallbackList of its own around a loop over train_on_batch, when the training ends."""

    def __init__(self, x, y, inner):
        super().__init__()
        self.x, self.y, self.inner, self.running = x, y, inner, False

    def on_train_end(self, logs=None):
        if self.running:
            return
        self.running = True
        callbacks = CallbackList([self.inner], add_history=True, model=self.model, epochs=2, steps=3)
        callbacks.on_train_begin()
        for epoch in range(2):
            callbacks.on_epoch_begin(epoch)
            for batch in range(3):
                rows = slice(batch * 8, batch * 8 + 8)
                callbacks.on_train_batch_begin(batch)
                found = self.model.train_on_batch(self.x[rows], self.y[rows], return_dict=True)
                callbacks.on_train_batch_end(batch, found)
            callbacks.on_epoch_end(epoch, found)
        callbacks.on_train_end()
        self.kept = {name: [float(v) for v in values] for name, values in self.model.history.history.items()}


class FreezesInBatch(Callback):
    """Freeze a layer in the middle of an epoch, without compiling again."""

    def __init__(self, name, at):
        super().__init__()
        self.name, self.at, self.step, self.norms = name, at, 0, []

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        layer = self.model.get_layer(self.name)
        if self.step == self.at:
            layer.trainable = False
        self.norms.append(float(np.linalg.norm(layer.get_weights()[0])))
