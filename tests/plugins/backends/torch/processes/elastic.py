"""A training that torchrun starts again when a process is killed.

Usage: elastic.py FOLDER [kill]; with "kill" process 1 dies in the first attempt.
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from onstage_torch import TorchModel
from torch import nn

from onstage import Callback
from onstage.callbacks import BackupAndRestore, CSVLogger, EarlyStopping, ReduceLROnPlateau

torch.set_num_threads(1)
folder = Path(sys.argv[1])
rng = np.random.default_rng(3)
y = np.arange(96) % 3
x = rng.normal(size=(96, 6)).astype(np.float32)
x[np.arange(96), y] += 2

torch.manual_seed(0)
module = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))
model = TorchModel(
    module,
    torch.optim.Adam,
    "cross_entropy",
    ["accuracy"],
    device="cpu",
    accumulate=2,
    use_ema=True,
)


class Dies(Callback):
    """Kills the process as if the machine failed: nothing is torn down."""

    def on_train_batch_end(self, batch):
        first = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        if first and model.rank == 1 and (self.run.epoch, batch) == (2, 3):
            os.kill(os.getpid(), signal.SIGKILL)


history = model.fit(
    x,
    y,
    batch_size=16,
    epochs=5,
    validation_data=(x, y),
    callbacks=[
        BackupAndRestore(folder / "backup", save_freq=2),
        CSVLogger(folder / "log.csv"),
        ReduceLROnPlateau(patience=1),
        EarlyStopping(patience=10),
        *([Dies()] if "kill" in sys.argv else []),
    ],
    seed=8,
    verbose=0,
)
model.save_weights(folder / f"weights-{model.rank}")
if model.rank == 0:
    (folder / "attempts").write_text(os.environ["TORCHELASTIC_RESTART_COUNT"])
    (folder / "epochs").write_text(str(history.epoch))
