"""Classify handwritten digits in Keras's fit with onstage's callbacks.

Trains a small network on scikit-learn's bundled digits (1 797 images of 8 × 8
pixels), stops early with the best weights, and prints the accuracy on a held-out
fifth: 0.95 or more. The CSV log and the best model, a file of Keras, are in
runs/keras_digits. KERAS_BACKEND may be torch or jax.

    pip install onstage onstage-keras torch scikit-learn && KERAS_BACKEND=torch python keras_digits.py
"""

from pathlib import Path

import keras
import numpy as np
from onstage_keras import OnstageCallback
from sklearn.datasets import load_digits

from onstage.callbacks import CSVLogger, EarlyStopping, ModelCheckpoint

keras.utils.set_random_seed(0)
images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
images, labels = (images[order] / 16).astype("float32"), labels[order]
x_test, y_test, x, y = images[:359], labels[:359], images[359:], labels[359:]

model = keras.Sequential(
    [
        keras.layers.Input((64,)),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(keras.optimizers.AdamW(3e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])

runs = Path("runs/keras_digits")
callback = OnstageCallback(
    [
        CSVLogger(runs / "log.csv"),
        ModelCheckpoint(runs / "best.keras", save_best_only=True),
        EarlyStopping(patience=6, restore_best_weights=True),
    ]
)
with callback:
    model.fit(x, y, epochs=40, validation_split=0.1, verbose=0, callbacks=[callback])

best = keras.models.load_model(runs / "best.keras")
_, accuracy = best.evaluate(x_test, y_test, verbose=0)
history = callback.history
print(f"{len(history.epoch)} epochs; {history.stop_reason or 'ran to the end'}")
print(f"test accuracy {accuracy:.4f} on {len(x_test)} images")
