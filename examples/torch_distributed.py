"""One training in several processes: the callbacks don't notice.

On this machine, two processes, or one for each GPU::

    torchrun --nproc-per-node 2 examples/torch_distributed.py

On two machines of eight GPUs, the same line on both, with a directory that both
see as the working directory::

    torchrun --nnodes 2 --nproc-per-node 8 --max-restarts 3 \
        --rdzv-backend c10d --rdzv-endpoint FIRST_MACHINE:29400 examples/torch_distributed.py

Without torchrun it is a training in one process, that ends with the same
weights to six digits. When a process dies, torchrun starts all of them again
and BackupAndRestore takes them back to where they were. Prints, once, the
accuracy on digits that it never saw: 0.95 or more.
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
    batch_size=64,  # of all processes together: each takes its part
    epochs=30,
    validation_split=0.1,
    seed=0,
    verbose=2,
    callbacks=[
        EarlyStopping(patience=5, restore_best_weights=True),  # decides the same in every process
        ReduceLROnPlateau(patience=2),
        CSVLogger(runs / "log.csv"),  # writes in the first process alone
        BackupAndRestore(runs / "backup"),  # the first one saves, all take it up
    ],
)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)

if model.rank == 0:
    print(f"{model.world} processes, {len(history.epoch)} epochs, test accuracy {accuracy:.4f}")
