"""Classify handwritten digits with a torch module and the usual callbacks.

Trains a small convolutional network on scikit-learn's bundled digits (1 797
images of 8 × 8 pixels) and prints the accuracy on a held-out fifth: 0.97 or
more. If you kill it and run it again, it resumes and ends with the same numbers.
``tensorboard --logdir runs/torch_digits/board`` shows the curves.

    pip install onstage[torch] scikit-learn && python torch_digits.py
"""

from pathlib import Path

import numpy as np
import torch
from onstage_torch import TorchModel
from sklearn.datasets import load_digits
from torch import nn

from onstage.callbacks import BackupAndRestore, EarlyStopping, ModelCheckpoint, ProgbarLogger, TensorBoard

images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
images, labels = images[order].reshape(-1, 1, 8, 8) / 16, labels[order]
fifth = len(images) // 5
x_test, y_test = images[:fifth], labels[:fifth]
x, y = images[fifth:], labels[fifth:]

torch.manual_seed(0)
model = TorchModel(
    nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten()),
        *(nn.Dropout(0.3), nn.Linear(512, 10)),
    ),
    optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=2e-3),
    loss="cross_entropy",
    metrics=["accuracy"],
)

runs = Path("runs/torch_digits")
history = model.fit(
    x,
    y,
    epochs=30,
    validation_split=0.1,
    seed=0,
    callbacks=[
        EarlyStopping(patience=6, restore_best_weights=True),
        TensorBoard(runs / "board"),
        ModelCheckpoint(runs / "best", save_best_only=True),
        BackupAndRestore(runs / "backup"),
        ProgbarLogger(),
    ],
)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)

print(f"{len(history.epoch)} epochs; {history.stop_reason or 'ran to the end'}")
print(f"test accuracy {accuracy:.4f} on {len(x_test)} images, loss {loss:.4f}")
print(f"curves and checkpoint in {runs.resolve()}")
