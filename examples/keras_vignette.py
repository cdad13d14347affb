"""The two programs of the Keras documentation page "Training Callbacks".

The first lowers the learning rate when ``val_loss`` stops improving, on dummy
data, and prints the rates. The second collects the loss of every batch with its
own callback and prints the list: 160 losses, 20 epochs of 8 batches.
"""

import numpy as np

from onstage import Callback, Sequential, layers
from onstage.callbacks import ReduceLROnPlateau

# Dummy data: there is nothing to learn, so val_loss soon stops improving.
rng = np.random.default_rng(0)
data = rng.exponential(size=(1000, 784)).astype("float32")
labels = np.round(rng.uniform(0, 9, size=1000)).astype(int)

model = Sequential(
    [
        layers.Dense(32, input_shape=(784,)),
        layers.Activation("relu"),
        layers.Dense(10),
        layers.Activation("softmax"),
    ],
    seed=0,
)
model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
history = model.fit(
    data,
    labels,
    epochs=30,
    verbose=0,
    validation_split=0.2,
    callbacks=[ReduceLROnPlateau(monitor="val_loss", factor=0.1)],
    seed=0,
)
rates = history.history["learning_rate"]
print("learning rates:", *(f"{rate:g}" for rate in dict.fromkeys(rates)))


class LossHistory(Callback):
    """Keep the loss of every batch."""

    def on_train_begin(self):
        self.losses = []

    def on_batch_end(self, batch, logs):
        self.losses.append(logs["loss"])


one_hot = np.eye(10, dtype="float32")[labels]

model = Sequential([layers.Dense(10, input_shape=(784,)), layers.Activation("softmax")], seed=0)
model.compile(loss="categorical_crossentropy", optimizer="rmsprop")
loss_history = LossHistory()
model.fit(data, one_hot, batch_size=128, epochs=20, verbose=0, callbacks=[loss_history], seed=0)

losses = loss_history.losses
print(f"{len(losses)} losses:", *(f"{loss:.4f}" for loss in losses[:4]), "...")
