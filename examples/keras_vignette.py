"""The two programs of the Keras documentation page "Training Callbacks".

The first lowers the learning rate when ``val_loss`` stops improving, on dummy
data, and prints the rates. The second collects the loss of every batch with its
own callback and prints the list: 160 losses, 20 epochs of 8 batches. With
``import keras`` in place of the first import the program prints the same numbers.
"""

import onstage.keras as keras  # isort: skip  # the changed line

import numpy as np

# Dummy data: there is nothing to learn, so val_loss soon stops improving.
rng = np.random.default_rng(0)
data = rng.exponential(size=(1000, 784)).astype("float32")
labels = np.round(rng.uniform(0, 9, size=1000)).astype(int)


def draw_weights(model):
    """Set the weights from numpy's generator: the same in both libraries."""
    model.set_weights(
        [rng.normal(scale=0.05, size=w.shape) if w.ndim > 1 else w for w in model.get_weights()]
    )


model = keras.Sequential(
    [
        keras.Input((784,)),
        keras.layers.Dense(32),
        keras.layers.Activation("relu"),
        keras.layers.Dense(10),
        keras.layers.Activation("softmax"),
    ]
)
draw_weights(model)
model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
history = model.fit(
    data,
    labels,
    epochs=30,
    verbose=0,
    validation_split=0.2,
    shuffle=False,
    callbacks=[keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.1)],
)
rates = history.history["learning_rate"]
print("learning rates:", *(f"{rate:g}" for rate in dict.fromkeys(rates)))


class LossHistory(keras.callbacks.Callback):
    """Keep the loss of every batch."""

    def on_train_begin(self, logs=None):
        self.losses = []

    def on_batch_end(self, batch, logs=None):
        self.losses.append(logs["loss"])


model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10), keras.layers.Activation("softmax")])
draw_weights(model)
model.compile(loss="categorical_crossentropy", optimizer="rmsprop")
loss_history = LossHistory()
model.fit(
    data,
    keras.utils.to_categorical(labels),
    batch_size=128,
    epochs=20,
    verbose=0,
    shuffle=False,
    callbacks=[loss_history],
)

losses = loss_history.losses
print(f"{len(losses)} losses:", *(f"{loss:.4f}" for loss in losses[:4]), "...")
