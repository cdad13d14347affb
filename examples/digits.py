"""Classify handwritten digits, with five callbacks from five packages.

Trains a small network on scikit-learn's bundled digits (1 797 images of 8 × 8
pixels) and prints the accuracy on a held-out fifth: 0.97 or more. Writes the
log and the checkpoint to ``runs/digits``.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from onstage import Sequential, layers, optimizers
from onstage.callbacks import CSVLogger, EarlyStopping, ModelCheckpoint, ProgbarLogger, ReduceLROnPlateau

images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
images, labels = images[order].astype("float32") / 16, labels[order]
fifth = len(images) // 5
x_test, y_test = images[:fifth], labels[:fifth]
x, y = images[fifth:], labels[fifth:]

model = Sequential(
    [
        layers.Input((64,)),
        layers.Dense(128, activation="relu"),
        layers.Dropout(0.2),
        layers.Dense(10, activation="softmax"),
    ],
    seed=0,
)
model.compile(optimizers.Adam(3e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.summary()

runs = Path("runs/digits")
history = model.fit(
    x,
    y,
    epochs=60,
    validation_split=0.1,
    seed=0,
    callbacks=[
        EarlyStopping(patience=8, restore_best_weights=True),
        ReduceLROnPlateau(factor=0.3, patience=3),
        CSVLogger(runs / "log.csv"),
        ModelCheckpoint(runs / "best.safetensors", save_best_only=True),
        ProgbarLogger(),
    ],
)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)

print(f"{len(history.epoch)} epochs; {history.stop_reason or 'ran to the end'}")
print(f"test accuracy {accuracy:.4f} on {len(x_test)} images, loss {loss:.4f}")
print(f"log and checkpoint in {runs.resolve()}")
