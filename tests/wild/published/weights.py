"""Callbacks that read, keep, average and change weights."""

import keras
import keras.backend as K
import numpy as np
from keras.callbacks import Callback


class WeightNorms(Callback):
    """Print the norm of each layer's kernel."""

    def on_epoch_end(self, epoch, logs=None):
        for layer in self.model.layers:
            weights = layer.get_weights()
            if weights:
                print("{}: {:.4f}".format(layer.name, np.linalg.norm(weights[0])))


class WeightNormsByVariable(Callback):
    """Keep the norms of all weights of the model."""

    def __init__(self):
        super().__init__()
        self.norms = []

    def on_epoch_end(self, epoch, logs=None):
        self.norms.append([float(np.linalg.norm(each)) for each in self.model.get_weights()])


class DeadReLU(Callback):
    """Share of units of a layer that are zero for all samples, by calling the layers in turn."""

    def __init__(self, x, layers=("hidden", "features")):
        super().__init__()
        self.x, self.watched = x, layers

    def on_epoch_end(self, epoch, logs=None):
        values = self.x
        for layer in self.model.layers:
            values = layer(values)
            if layer.name in self.watched:
                active = K.get_value(values) if not hasattr(values, "detach") else values.detach().numpy()
                print(layer.name, "dead share %.3f" % np.mean(np.all(np.asarray(active) <= 0, axis=0)))


class ActivationPrinter(Callback):
    """Activations of a hidden layer by a model that ends there: a functional graph."""

    def __init__(self, x):
        super().__init__()
        self.x = x

    def on_train_end(self, logs=None):
        inner = keras.Model(self.model.inputs, self.model.get_layer("hidden").output)
        print("mean activation %.4f" % np.mean(np.asarray(inner.predict(self.x, verbose=0))))


class FunctionOfTheBackend(Callback):
    """Activations by Keras 2's K.function."""

    def __init__(self, x):
        super().__init__()
        self.x = x

    def on_train_end(self, logs=None):
        function = K.function([self.model.input], [self.model.layers[0].output])
        print("mean activation %.4f" % np.mean(function([self.x])[0]))


class FreezeAfter(Callback):
    """Freeze a layer by name after some epochs."""

    def __init__(self, name, epoch):
        super().__init__()
        self.name, self.at = name, epoch
        self.kernels = []

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.at:
            self.model.get_layer(self.name).trainable = False

    def on_epoch_end(self, epoch, logs=None):
        self.kernels.append(float(np.sum(self.model.get_layer(self.name).get_weights()[0])))


class GradualUnfreezing(Callback):
    """Begin with the head alone, then unfreeze one layer each epoch."""

    def __init__(self):
        super().__init__()
        self.sums = []

    def on_train_begin(self, logs=None):
        for layer in self.model.layers[:-1]:
            layer.trainable = False

    def on_epoch_begin(self, epoch, logs=None):
        frozen = [layer for layer in self.model.layers if not layer.trainable]
        if epoch and frozen:
            frozen[-1].trainable = True
            print("unfreezing", frozen[-1].name)

    def on_epoch_end(self, epoch, logs=None):
        self.sums.append([float(np.sum(each)) for each in self.model.get_weights()])


class BestWeights(Callback):
    """Keep the best weights and set them at the end."""

    def __init__(self, monitor="val_accuracy", mode="max"):
        super().__init__()
        self.monitor, self.compare = monitor, np.greater if mode == "max" else np.less
        self.best = -np.inf if mode == "max" else np.inf

    def on_epoch_end(self, epoch, logs=None):
        if self.compare(logs[self.monitor], self.best):
            self.best, self.best_epoch = logs[self.monitor], epoch
            self.weights = self.model.get_weights()

    def on_train_end(self, logs=None):
        self.model.set_weights(self.weights)
        print("weights of epoch", self.best_epoch)


class GetBest(Callback):
    """The same in the style of a forked ModelCheckpoint, with period and verbose."""

    def __init__(self, monitor="val_loss", verbose=0, mode="auto", period=1):
        super(GetBest, self).__init__()
        self.monitor = monitor
        self.verbose = verbose
        self.period = period
        self.best_epochs = 0
        self.epochs_since_last_save = 0
        if "acc" in self.monitor or mode == "max":
            self.monitor_op, self.best = np.greater, -np.inf
        else:
            self.monitor_op, self.best = np.less, np.inf

    def on_train_begin(self, logs=None):
        self.best_weights = self.model.get_weights()

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        self.epochs_since_last_save += 1
        if self.epochs_since_last_save >= self.period:
            self.epochs_since_last_save = 0
            current = logs.get(self.monitor)
            if self.monitor_op(current, self.best):
                if self.verbose > 0:
                    print(
                        "\nEpoch %05d: %s improved from %0.5f to %0.5f, storing weights."
                        % (epoch + 1, self.monitor, self.best, current)
                    )
                self.best = current
                self.best_epochs = epoch + 1
                self.best_weights = self.model.get_weights()

    def on_train_end(self, logs=None):
        if self.verbose > 0:
            print("Using epoch %05d with %s: %0.5f" % (self.best_epochs, self.monitor, self.best))
        self.model.set_weights(self.best_weights)


class SWA(Callback):
    """Mean of the weights of the last epochs."""

    def __init__(self, swa_epoch):
        super(SWA, self).__init__()
        self.swa_epoch = swa_epoch

    def on_train_begin(self, logs=None):
        self.nb_epoch = self.params["epochs"]
        print(
            "Stochastic weight averaging selected for last {} epochs.".format(self.nb_epoch - self.swa_epoch)
        )

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.swa_epoch:
            self.swa_weights = self.model.get_weights()
        elif epoch > self.swa_epoch:
            n = epoch - self.swa_epoch
            for i, each in enumerate(self.model.get_weights()):
                self.swa_weights[i] = (self.swa_weights[i] * n + each) / (n + 1)

    def on_train_end(self, logs=None):
        self.model.set_weights(self.swa_weights)
        print("Final model parameters set to stochastic weight average.")


class MovingAverageWeights(Callback):
    """Validate with averaged weights, train on with the raw ones."""

    def __init__(self, decay=0.9):
        super().__init__()
        self.decay = decay

    def on_train_begin(self, logs=None):
        self.average = self.model.get_weights()

    def on_train_batch_end(self, batch, logs=None):
        self.average = [
            self.decay * a + (1 - self.decay) * w
            for a, w in zip(self.average, self.model.get_weights(), strict=True)
        ]

    def on_test_begin(self, logs=None):
        self.raw = self.model.get_weights()
        self.model.set_weights(self.average)

    def on_test_end(self, logs=None):
        self.model.set_weights(self.raw)


class LookaheadCallback(Callback):
    """Slow weights every k batches."""

    def __init__(self, k=3, alpha=0.5):
        super().__init__()
        self.k, self.alpha, self.count = k, alpha, 0

    def on_train_begin(self, logs=None):
        self.slow = self.model.get_weights()

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1
        if self.count % self.k == 0:
            fast = self.model.get_weights()
            self.slow = [s + self.alpha * (f - s) for s, f in zip(self.slow, fast, strict=True)]
            self.model.set_weights(self.slow)


class WeightClipper(Callback):
    """Clip the weights of each layer after each batch."""

    def __init__(self, limit=0.3):
        super().__init__()
        self.limit = limit

    def on_batch_end(self, batch, logs={}):
        for layer in self.model.layers:
            layer.set_weights([np.clip(w, -self.limit, self.limit) for w in layer.get_weights()])


class KernelByBackend(Callback):
    """Shrink kernels in place, through the backend."""

    def on_epoch_end(self, epoch, logs=None):
        for layer in self.model.layers:
            for weight in layer.trainable_weights:
                K.set_value(weight, K.get_value(weight) * 0.9)


class WeightChange(Callback):
    """Print how far the weights moved in an epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.before = [w.copy() for w in self.model.get_weights()]

    def on_epoch_end(self, epoch, logs=None):
        after = self.model.get_weights()
        moved = np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(after, self.before)))
        print("epoch %d moved %.5f" % (epoch, moved))


class ParameterCount(Callback):
    """Print the number of weights before training."""

    def on_train_begin(self, logs=None):
        print("parameters:", self.model.count_params())


class SnapshotEnsemble(Callback):
    """A cosine cycle each two epochs; the weights at its end are saved to a file."""

    def __init__(self, cycle, rate, prefix="snapshot"):
        super().__init__()
        self.cycle, self.rate, self.prefix, self.files = cycle, rate, prefix, []

    def on_epoch_begin(self, epoch, logs={}):
        angle = np.pi * (epoch % self.cycle) / self.cycle
        K.set_value(self.model.optimizer.lr, self.rate / 2 * (np.cos(angle) + 1))

    def on_epoch_end(self, epoch, logs={}):
        if epoch != 0 and (epoch + 1) % self.cycle == 0:
            filename = "%s_%d.weights.h5" % (self.prefix, int((epoch + 1) / self.cycle))
            self.model.save_weights(filename)
            self.files.append(filename)
            print(">saved snapshot %s, epoch %d" % (filename, epoch))

    def on_train_end(self, logs=None):
        self.model.load_weights(self.files[0])
