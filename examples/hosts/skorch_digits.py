"""Classify handwritten digits with a net of skorch and onstage's callbacks.

Trains a small network on scikit-learn's bundled digits (1 797 images of 8 × 8
pixels), stops early with the best weights, and prints the accuracy on a held-out
fifth: 0.95 or more. The CSV log is in runs/skorch_digits.

    pip install onstage onstage-skorch scikit-learn && python skorch_digits.py
"""

from pathlib import Path

import torch
from onstage_skorch import OnstageCallback
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from skorch.dataset import ValidSplit
from torch import nn

from onstage.callbacks import CSVLogger, EarlyStopping, ReduceLROnPlateau


class Digits(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10), nn.Softmax(-1)
        )

    def forward(self, x):
        return self.network(x)


torch.manual_seed(0)
images, labels = load_digits(return_X_y=True)
images = (images / 16).astype("float32")
x, x_test, y, y_test = train_test_split(images, labels, test_size=359, random_state=0, stratify=labels)

runs = Path("runs/skorch_digits")
callback = OnstageCallback(
    [
        CSVLogger(runs / "log.csv"),
        ReduceLROnPlateau(patience=3),
        EarlyStopping(patience=6, restore_best_weights=True),
    ]
)
net = NeuralNetClassifier(
    Digits,
    optimizer=torch.optim.AdamW,
    lr=3e-3,
    batch_size=32,
    max_epochs=40,
    iterator_train__shuffle=True,
    train_split=ValidSplit(8, stratified=True),
    callbacks=[callback],
    verbose=0,
)
with callback:
    net.fit(x, y)

history = callback.history
print(f"{len(history.epoch)} epochs; {history.stop_reason or 'ran to the end'}")
print(f"test accuracy {net.score(x_test, y_test):.4f} on {len(x_test)} images")
