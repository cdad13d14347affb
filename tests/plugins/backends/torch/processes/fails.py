"""One process raises within an epoch; the others would wait for it forever.

Usage: fails.py FOLDER; each process writes the result of its fit.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from onstage_torch import TorchModel
from torch import nn

from onstage import Callback

torch.set_num_threads(1)
folder = Path(sys.argv[1])
model = TorchModel(nn.Linear(6, 3), torch.optim.SGD, "mse", device="cpu")


class Fails(Callback):
    def on_train_batch_end(self, batch):
        if self.run.rank == 1 and batch == 2:
            (folder / "raised").write_text(str(time.time()))
            raise ValueError("this shard is damaged")


try:
    model.fit(
        np.ones((64, 6), np.float32), np.ones((64, 3)), batch_size=8, epochs=2, callbacks=[Fails()], verbose=0
    )
except Exception as error:
    notes = " | ".join(getattr(error, "__notes__", []))
    (folder / f"error-{model.rank}").write_text(f"{type(error).__name__}: {error} | {notes}")
    raise
