"""Classify handwritten digits with a Learner of fastai and onstage's callbacks.

Trains a small network on scikit-learn's bundled digits (1 797 images of 8 × 8
pixels), stops early with the best weights, and prints the accuracy on a held-out
fifth: 0.95 or more. The CSV log is in runs/fastai_digits.

    pip install onstage onstage-fastai scikit-learn && python fastai_digits.py
"""

from pathlib import Path

import torch
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.torch_core import set_seed
from onstage_fastai import OnstageCallback
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset, random_split

from onstage.callbacks import CSVLogger, EarlyStopping, ReduceLROnPlateau


def accuracy(outputs, labels):
    return (outputs.argmax(1) == labels).float().mean()


set_seed(0)
images, labels = load_digits(return_X_y=True)
data = TensorDataset(torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(labels))
train, validation, test = random_split(data, [1258, 180, 359])
loaders = DataLoaders(DataLoader(train, bs=32, shuffle=True), DataLoader(validation, bs=180), device="cpu")

runs = Path("runs/fastai_digits")
callback = OnstageCallback(
    [
        CSVLogger(runs / "log.csv"),
        ReduceLROnPlateau(patience=3),
        EarlyStopping(patience=6, restore_best_weights=True),
    ]
)
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10))
learn = Learner(
    loaders, model, nn.functional.cross_entropy, lr=3e-3, metrics=accuracy, cbs=[callback], path=runs
)
with callback, learn.no_bar(), learn.no_logging():
    learn.fit(40)

outputs, targets = learn.get_preds(dl=DataLoader(test, bs=359), reorder=False)
history = callback.history
print(f"{len(history.epoch)} epochs; {history.stop_reason or 'ran to the end'}")
print(f"test accuracy {accuracy(outputs, targets).item():.4f} on {len(test)} images")
