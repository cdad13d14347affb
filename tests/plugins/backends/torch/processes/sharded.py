"""A loop whose module is sharded over two processes by FSDP, on CPUs.

Usage: sharded.py FOLDER
"""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as checkpoint
from onstage_torch import TorchModel
from torch import nn
from torch.distributed.checkpoint.state_dict import get_model_state_dict, set_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from onstage import Callback, Run
from onstage.callbacks import CSVLogger, EarlyStopping, LearningRateScheduler

torch.set_num_threads(1)
folder = Path(sys.argv[1])
dist.init_process_group("gloo")
rank = dist.get_rank()
batches = [torch.randn(4, 4, generator=torch.Generator().manual_seed(seed)) for seed in range(8)]


def network(sharded):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    return fully_shard(module, mesh=init_device_mesh("cpu", (2,))) if sharded else module


class SavesShards(Callback):
    """Writes each process's part of the weights."""

    def on_epoch_end(self, epoch):
        checkpoint.save(get_model_state_dict(self.model.module), checkpoint_id=folder / "shards")


def rate(epoch):
    return 0.1 / (epoch + 1)


module = network(sharded=True)
optimizer = torch.optim.Adam(module.parameters())
view = TorchModel.view(module, optimizer, agree_every=2)
callbacks = [
    EarlyStopping("loss", patience=2),
    LearningRateScheduler(rate),
    CSVLogger(folder / "log.csv"),
    SavesShards(),
]
with Run(view, callbacks, epochs=3) as run:
    for _ in run.epochs():
        for x in run.batches(batches[rank::2]):
            loss = module(x).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log(loss=loss)

alone = network(sharded=False)
optimizer = torch.optim.Adam(alone.parameters())
for epoch in range(3):
    optimizer.param_groups[0]["lr"] = rate(epoch)
    for pair in zip(batches[::2], batches[1::2], strict=True):
        optimizer.zero_grad()
        alone(torch.cat(pair)).square().mean().backward()
        optimizer.step()

again = network(sharded=True)
state = get_model_state_dict(again)
checkpoint.load(state, checkpoint_id=folder / "shards")
set_model_state_dict(again, state)
distances = [
    [float((mine.full_tensor() - theirs).abs().max()) for mine, theirs in zip(a, b, strict=True)]
    for a, b in ((module.parameters(), alone.parameters()), (again.parameters(), alone.parameters()))
]
try:
    view.save(folder / "whole.safetensors")
    refusal = None
except TypeError as error:
    refusal = str(error)
results = {"distances": distances, "epochs": run.history.epoch, "refusal": refusal}
(folder / f"sharded-{rank}.json").write_text(json.dumps(results))
dist.destroy_process_group()
