"""A training in which one process receives SIGTERM.

Usage: preempted.py FOLDER [RANK]; process RANK gets the signal at batch 4 of
epoch 1. Every process writes where it ended to ``ended-RANK``.
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from onstage_torch import TorchModel
from torch import nn

from onstage import Callback, Interrupted
from onstage.callbacks import BackupAndRestore

torch.set_num_threads(1)
signal.signal(signal.SIGTERM, lambda *_: None)  # the tests look at the files, not at the exit code
folder, target = Path(sys.argv[1]), [int(rank) for rank in sys.argv[2:]]
rng = np.random.default_rng(3)
x, y = rng.normal(size=(160, 6)).astype(np.float32), np.arange(160) % 3

torch.manual_seed(0)
model = TorchModel(nn.Linear(6, 3), torch.optim.Adam, "cross_entropy", device="cpu", agree_every=3)


class Preempted(Callback):
    """Sends the signal, and notes the last batch."""

    at = (-1, -1)

    def on_train_batch_begin(self, batch):
        if model.rank in target and (self.run.epoch, batch) == (1, 4):
            os.kill(os.getpid(), signal.SIGTERM)

    def on_train_batch_end(self, batch):
        self.at = (self.run.epoch, batch)


preempted = Preempted()
ended = "whole"
try:
    model.fit(
        x,
        y,
        batch_size=16,
        epochs=3,
        validation_data=(x, y),
        callbacks=[preempted, BackupAndRestore(folder / "backup", save_before_preemption=True)],
        seed=8,
        verbose=0,
    )
    model.save_weights(folder / f"weights-{model.rank}")
except Interrupted:
    ended = "interrupted"
(folder / f"ended-{model.rank}").write_text(f"{ended} after {preempted.at}")
