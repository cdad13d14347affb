"""A guide to writing callbacks, for Keras or onstage: only the first import differs.

With ``import keras`` in its place the program prints the same numbers. It prints
the stages of one short training, stops another at the lowest loss, and lowers
the learning rate of a third by a schedule.
"""

import onstage.keras as keras  # isort: skip  # the changed line

import numpy as np

rng = np.random.default_rng(0)
x = rng.normal(size=(320, 20)).astype("float32")
y = (x @ rng.normal(size=20) + rng.normal(size=320)).astype("float32")
weights = [rng.normal(scale=0.1, size=(20, 1)), np.zeros(1)]


def get_model():
    model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(1)])
    model.compile(
        optimizer=keras.optimizers.RMSprop(learning_rate=0.1),
        loss="mean_squared_error",
        metrics=["mean_absolute_error"],
    )
    model.set_weights(weights)  # the same in both libraries
    return model


def fit(callback, epochs, **options):
    model = get_model()
    model.fit(
        x,
        y,
        batch_size=64,
        epochs=epochs,
        verbose=0,
        shuffle=False,
        validation_split=0.2,
        callbacks=[callback],
        **options,
    )
    return model


class StagePrinter(keras.callbacks.Callback):
    """Print when each stage fires, and the names in its logs."""

    def on_train_begin(self, logs=None):
        print("training begins with", sorted(logs), "of", self.params["epochs"], "epoch")

    def on_epoch_end(self, epoch, logs=None):
        print(f"epoch {epoch} ends with {sorted(logs)}")

    def on_train_batch_end(self, batch, logs=None):
        print(f"  after batch {batch} the mean loss is {logs['loss']:.2f}")

    def on_test_end(self, logs=None):
        print(f"  the validation loss is {logs['loss']:.2f}")


class EarlyStoppingAtMinLoss(keras.callbacks.Callback):
    """Stop when the loss has not fallen for some epochs, and restore the best weights."""

    def __init__(self, patience=0):
        super().__init__()
        self.patience = patience
        self.best_weights = None

    def on_train_begin(self, logs=None):
        self.wait = 0
        self.stopped_epoch = 0
        self.best = np.inf

    def on_epoch_end(self, epoch, logs=None):
        current = logs["val_loss"]
        if np.less(current, self.best):
            self.best, self.wait = current, 0
            self.best_weights = self.model.get_weights()
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True
            self.model.set_weights(self.best_weights)

    def on_train_end(self, logs=None):
        if self.stopped_epoch > 0:
            print(f"epoch {self.stopped_epoch + 1}: stopped early, lowest loss {self.best:.3f}")


class CustomLearningRateScheduler(keras.callbacks.Callback):
    """Set the learning rate of each epoch from a schedule."""

    def __init__(self, schedule):
        super().__init__()
        self.schedule = schedule

    def on_epoch_begin(self, epoch, logs=None):
        rate = self.schedule(epoch, float(self.model.optimizer.learning_rate))
        self.model.optimizer.learning_rate = rate
        print(f"epoch {epoch}: learning rate {float(np.array(rate)):.4f}")


def schedule(epoch, rate):
    """Return the rate of an epoch: from a table of first epochs, else the present one."""
    return {0: 0.1, 2: 0.05, 4: 0.01}.get(epoch, rate)


fit(StagePrinter(), epochs=1)
fit(EarlyStoppingAtMinLoss(patience=2), epochs=60)
model = fit(CustomLearningRateScheduler(schedule), epochs=6)
loss, error = model.evaluate(x, y, verbose=0)
print(f"after the schedule: loss {loss:.3f}, mean absolute error {error:.3f}")
