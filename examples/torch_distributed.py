"""Train in several processes with unchanged callbacks.

In two processes on this machine (on GPUs, use as many as there are)::

    torchrun --nproc-per-node 2 examples/torch_distributed.py

On two machines with eight GPUs each, run the same line on both, in a working
directory that they share::

    torchrun --nnodes 2 --nproc-per-node 8 --max-restarts 3 \
        --rdzv-backend c10d --rdzv-endpoint FIRST_MACHINE:29400 examples/torch_distributed.py

Without torchrun it trains in one process and ends with the same weights to six
digits. If a process dies, torchrun restarts all of them and BackupAndRestore
resumes the training. Prints the accuracy on held-out digits once: 0.95 or more.
"""

from pathlib import Path

import numpy as np
import torch
from onstage_torch import TorchModel
from sklearn.datasets import load_digits
from torch import nn

from onstage.callbacks import BackupAndRestore, CSVLogger, EarlyStopping, ReduceLROnPlateau

images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
images, labels = images[order] / 16, labels[order]
x, y, x_test, y_test = images[360:], labels[360:], images[:360], labels[:360]

torch.manual_seed(0)
model = TorchModel(
    nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)),
    optimizer=lambda parameters: torch.optim.Adam(parameters, lr=3e-3),
    loss="cross_entropy",
    metrics=["accuracy"],
)
runs = Path("runs/torch_distributed")
history = model.fit(
    x,
    y,
    batch_size=64,  # the total of all processes
    epochs=30,
    validation_split=0.1,
    seed=0,
    verbose=2,
    callbacks=[
        EarlyStopping(patience=5, restore_best_weights=True),  # same decision in every process
        ReduceLROnPlateau(patience=2),
        CSVLogger(runs / "log.csv"),  # only the first process writes
        BackupAndRestore(runs / "backup"),  # the first process saves, all load
    ],
)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)

if model.rank == 0:
    print(f"{model.world} processes, {len(history.epoch)} epochs, test accuracy {accuracy:.4f}")
