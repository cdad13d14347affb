"""Classify handwritten digits in Ignite's engine with onstage's callbacks.

Trains a small network on scikit-learn's bundled digits (1 797 images of 8 × 8
pixels), stops early with the best weights, and prints the accuracy on a held-out
fifth: 0.95 or more. The CSV log is in runs/ignite_digits.

    pip install onstage onstage-ignite scikit-learn && python ignite_digits.py
"""

from pathlib import Path

import torch
from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
from ignite.metrics import Accuracy, Loss
from ignite.utils import manual_seed
from onstage_ignite import OnstageHandler
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from onstage.callbacks import CSVLogger, EarlyStopping, ReduceLROnPlateau

manual_seed(0)
images, labels = load_digits(return_X_y=True)
data = TensorDataset(torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(labels))
train, validation, test = random_split(data, [1258, 180, 359])

model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10))
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
loss = nn.functional.cross_entropy
trainer = create_supervised_trainer(model, optimizer, loss)
evaluator = create_supervised_evaluator(model, metrics={"loss": Loss(loss), "accuracy": Accuracy()})
validation_loader = DataLoader(validation, batch_size=180)
trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run(validation_loader))

runs = Path("runs/ignite_digits")
handler = OnstageHandler(
    [
        CSVLogger(runs / "log.csv"),
        ReduceLROnPlateau(patience=3),
        EarlyStopping(patience=6, restore_best_weights=True),
    ]
)
handler.attach(trainer, evaluator=evaluator, model=model, optimizer=optimizer)
trainer.run(DataLoader(train, batch_size=32, shuffle=True), max_epochs=40)

accuracy = evaluator.run(DataLoader(test, batch_size=359)).metrics["accuracy"]
history = handler.history
print(f"{len(history.epoch)} epochs; {history.stop_reason or 'ran to the end'}")
print(f"test accuracy {accuracy:.4f} on {len(test)} images")
