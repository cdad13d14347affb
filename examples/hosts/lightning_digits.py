"""Classify handwritten digits in Lightning's Trainer with onstage's callbacks.

Trains a small network on scikit-learn's bundled digits (1 797 images of 8 × 8
pixels), stops early with the best weights, and prints the accuracy on a held-out
fifth: 0.95 or more. The CSV log is in runs/lightning_digits.

    pip install onstage onstage-lightning lightning scikit-learn && python lightning_digits.py
"""

from pathlib import Path

import lightning.pytorch as pl
import torch
from onstage_lightning import OnstageCallback
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from onstage.callbacks import CSVLogger, EarlyStopping, ReduceLROnPlateau


class Digits(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10))

    def training_step(self, batch):
        return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def validation_step(self, batch):
        outputs = self.network(batch[0])
        self.log("val_loss", nn.functional.cross_entropy(outputs, batch[1]))
        self.log("val_acc", (outputs.argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


pl.seed_everything(0, verbose=False)
images, labels = load_digits(return_X_y=True)
data = TensorDataset(torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(labels))
train, validation, test = random_split(data, [1258, 180, 359])

runs = Path("runs/lightning_digits")
callback = OnstageCallback(
    [
        CSVLogger(runs / "log.csv"),
        ReduceLROnPlateau(patience=3),
        EarlyStopping(patience=6, restore_best_weights=True),
    ]
)
trainer = pl.Trainer(
    max_epochs=40,
    callbacks=[callback],
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
model = Digits()
trainer.fit(model, DataLoader(train, batch_size=32, shuffle=True), DataLoader(validation, batch_size=180))

model.eval()
with torch.no_grad():
    x, y = test[:]
    accuracy = (model.network(x).argmax(1) == y).float().mean().item()
history = callback.history
print(f"{len(history.epoch)} epochs; {history.stop_reason or 'ran to the end'}")
print(f"test accuracy {accuracy:.4f} on {len(test)} images")
