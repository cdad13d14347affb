"""A loop of one's own in several processes, and an evaluation inside a callback.

Usage: own_loop.py FOLDER
"""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from onstage_torch import TorchModel
from torch import nn

from onstage import Callback, Run
from onstage.callbacks import CSVLogger

torch.set_num_threads(1)
folder = Path(sys.argv[1])
dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()


class Stops(Callback):
    """Stops in the last process alone."""

    def __init__(self, epoch, batch):
        self.at = epoch, batch

    def on_train_batch_end(self, batch):
        if rank == world - 1 and (self.run.epoch, batch) == self.at:
            self.stop("enough")


def train(name, agree_every=None, at=(1, 1)):
    torch.manual_seed(0)
    module = nn.parallel.DistributedDataParallel(nn.Linear(4, 2))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    view = TorchModel.view(module, optimizer, agree_every=agree_every)
    epochs = steps = 0
    callbacks = [CSVLogger(folder / f"{name}.csv"), Stops(*at)]
    with Run(view, callbacks, epochs=5) as run:
        for _ in run.epochs():
            epochs += 1
            for x in run.batches([torch.randn(8, 4) + rank for _ in range(6)]):
                loss = module(x).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                steps += 1
                run.log(loss=loss)
    return {
        "rank": run.rank,
        "names": list(view.named_weights()),
        "epochs": epochs,
        "steps": steps,
        "reason": run.stop_reason,
    }


class Evaluates(Callback):
    def on_epoch_end(self):
        self.loss = self.model.evaluate(torch.ones(8, 4), torch.ones(8, 2), verbose=0)


class EvaluatesInTheFirst(Evaluates):
    ranks = "zero"


def evaluate_in(callback):
    """Return the loss that the callback computed, or the error."""
    model = TorchModel(nn.Linear(4, 2), torch.optim.SGD, "mse", device="cpu")
    try:
        with Run(model, [callback]) as run:
            list(run.epochs())
    except RuntimeError as error:
        return str(error)
    return getattr(callback, "loss", None)


def square_step(module, x, y):
    return module(x).square().mean()


def train_with_own_step():
    """Return how far the weights are from those of one process with the joined batches."""
    torch.manual_seed(0)
    module, alone, x = nn.Linear(4, 2), nn.Linear(4, 2), torch.randn(16, 4)
    alone.load_state_dict(module.state_dict())
    model = TorchModel(module, lambda p: torch.optim.SGD(p, lr=0.1), step=square_step, device="cpu")
    model.fit(x, batch_size=8, shuffle=False, epochs=2, verbose=0)
    optimizer = torch.optim.SGD(alone.parameters(), lr=0.1)
    for batch in [*x.split(8), *x.split(8)]:
        optimizer.zero_grad()
        square_step(alone, batch, None).backward()
        optimizer.step()
    return float((module.weight - alone.weight).abs().max())


results = {
    "own step": train_with_own_step(),
    "each epoch": train("epoch"),
    "each second batch": train("batch", agree_every=2),
    "evaluated": evaluate_in(Evaluates()),
    "refused": evaluate_in(EvaluatesInTheFirst()),
}
(folder / f"own-{rank}.json").write_text(json.dumps(results))
dist.destroy_process_group()
