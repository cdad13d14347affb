"""Classify handwritten digits in transformers' Trainer with onstage's callbacks.

Trains a small network on scikit-learn's bundled digits (1 797 images of 8 × 8
pixels), stops early with the best weights, and prints the accuracy on a held-out
fifth: 0.95 or more. The CSV log and the best weights are in
runs/transformers_digits; nothing is downloaded.

    pip install onstage onstage-transformers scikit-learn && python transformers_digits.py
"""

from pathlib import Path

import torch
from onstage_transformers import OnstageCallback
from safetensors.torch import load_model
from sklearn.datasets import load_digits
from torch import nn
from transformers import Trainer, TrainingArguments, set_seed

from onstage.callbacks import CSVLogger, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau


class Digits(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10))

    def forward(self, pixels, labels=None):
        logits = self.network(pixels)
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return {"loss": loss, "logits": logits}


set_seed(0)
images, labels = load_digits(return_X_y=True)
samples = [
    {"pixels": torch.tensor(image / 16, dtype=torch.float32), "labels": int(label)}
    for image, label in zip(images, labels, strict=True)
]
train, validation, test = torch.utils.data.random_split(samples, [1258, 180, 359])

runs = Path("runs/transformers_digits")
callback = OnstageCallback(
    [
        CSVLogger(runs / "log.csv"),
        ModelCheckpoint(runs / "best.safetensors", save_best_only=True),
        ReduceLROnPlateau(patience=3),
        EarlyStopping(patience=6, restore_best_weights=True),
    ]
)
trainer = Trainer(
    Digits(),
    TrainingArguments(
        output_dir=str(runs),
        num_train_epochs=40,
        learning_rate=3e-3,
        lr_scheduler_type="constant",  # so that ReduceLROnPlateau may set the rate
        per_device_train_batch_size=32,
        per_device_eval_batch_size=180,
        eval_strategy="epoch",
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        logging_strategy="no",
    ),
    train_dataset=train,
    eval_dataset=validation,
    compute_metrics=lambda found: {"accuracy": (found.predictions.argmax(1) == found.label_ids).mean()},
    callbacks=[callback],
)
with callback:
    trainer.train()

best = Digits()
load_model(best, runs / "best.safetensors")
trainer.model.load_state_dict(best.state_dict())
accuracy = trainer.predict(test).metrics["test_accuracy"]
history = callback.history
print(f"{len(history.epoch)} epochs; {history.stop_reason or 'ran to the end'}")
print(f"test accuracy {accuracy:.4f} on {len(test)} images")
