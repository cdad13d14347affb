"""A classifier of handwritten digits, for Keras or onstage: only the first import differs.

A convolutional network with the usual callbacks: early stopping, a lower rate
when the validation stalls, a checkpoint of the best epoch in Keras's format
(``pip install onstage[keras]``), a CSV log. With
``import keras`` in its place the program prints the same numbers. It prints the
epochs, the learning rates and the accuracy on images that it has not seen.
"""

import onstage.keras as keras  # isort: skip  # the changed line

import csv
import os

import numpy as np
from sklearn.datasets import load_digits

digits = load_digits()
x = (digits.images / 16.0).astype("float32")[..., None]
y = digits.target
order = np.random.default_rng(0).permutation(len(x))
x, y = x[order], y[order]
x_train, y_train, x_test, y_test = x[:1400], y[:1400], x[1400:], y[1400:]

model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(8, 3, activation="relu"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Flatten(),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(
    optimizer=keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
)
# Weights from numpy's generator: the same in both libraries.
rng = np.random.default_rng(1)
model.set_weights([rng.normal(scale=0.2, size=w.shape) if w.ndim > 1 else w for w in model.get_weights()])

os.makedirs("runs", exist_ok=True)
callbacks = [
    keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=2, min_delta=0.01),
    keras.callbacks.EarlyStopping(monitor="val_loss", patience=5, restore_best_weights=True),
    keras.callbacks.ModelCheckpoint("runs/best.keras", monitor="val_accuracy", save_best_only=True),
    keras.callbacks.CSVLogger("runs/log.csv"),
]
history = model.fit(
    x_train,
    y_train,
    batch_size=50,
    epochs=25,
    validation_split=0.2,
    shuffle=False,
    verbose=0,
    callbacks=callbacks,
)

with open("runs/log.csv", newline="") as file:
    rows = list(csv.DictReader(file))
rates = dict.fromkeys(round(rate, 6) for rate in history.history["learning_rate"])
print(f"{len(rows)} epochs, best validation accuracy {max(history.history['val_accuracy']):.4f}")
print("learning rates:", *rates)

best = keras.models.load_model("runs/best.keras")
for name, each in (("last", model), ("best", best)):
    loss, accuracy = each.evaluate(x_test, y_test, verbose=0)
    print(f"{name}: test loss {loss:.3f}, accuracy {accuracy:.4f} on {len(y_test)} images")
