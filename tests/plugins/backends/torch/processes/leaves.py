"""A model that lives until the program ends; each process writes its threads.

Usage: leaves.py FOLDER "the model's group"|"the program's group" [as torch does]
"""

import atexit
import json
import os
import sys
from pathlib import Path

FOLDER = Path(sys.argv[1])


def threads():
    return sorted(each.read_text().strip() for each in Path("/proc/self/task").glob("*/comm"))


def write():
    (FOLDER / f"threads-{os.environ['RANK']}").write_text(json.dumps([during, threads()]))


# Before torch is imported: so it runs after everything that imports register.
atexit.register(write)

import numpy as np  # noqa: E402
import torch  # noqa: E402
from onstage_torch import TorchModel, distributed  # noqa: E402

if sys.argv[2] == "the program's group":
    torch.distributed.init_process_group("gloo")

model = TorchModel(torch.nn.Linear(6, 3), lambda p: torch.optim.SGD(p, 0.1), "mse", device="cpu")
model.fit(np.ones((8, 6), np.float32), np.ones((8, 3), np.float32), batch_size=4, verbose=0)
during = threads()
if sys.argv[3:]:  # Ends as torch does, without the model's own release of the group.
    atexit.unregister(distributed._release_group)
    atexit.unregister(distributed._destroy)

if sys.argv[2] == "the program's group":
    torch.distributed.destroy_process_group()
