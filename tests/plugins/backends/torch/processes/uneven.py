"""Iterables of which the second process's ends first; with "shortest" both end with it.

Usage: uneven.py FOLDER
"""

import json
import os
import sys
from pathlib import Path

import torch
from onstage_torch import TorchModel
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from onstage import Callback

torch.set_num_threads(1)
RANK = int(os.environ["RANK"])


class Stream(IterableDataset):
    """Five samples in the first process, three in the second; without a length."""

    def __iter__(self):
        generator = torch.Generator().manual_seed(RANK)
        for _ in range(5 - 2 * RANK):
            yield torch.randn(6, generator=generator), torch.tensor(0)


class Seen(Callback):
    def __init__(self):
        self.batches = []

    def on_train_batch_end(self, batch):
        self.batches.append((self.run.epoch, batch))


def train(data, **options):
    torch.manual_seed(0)
    model = TorchModel(
        nn.Linear(6, 3),
        lambda p: torch.optim.SGD(p, lr=0.1),
        "cross_entropy",
        device="cpu",
        uneven=options.pop("uneven", "shortest"),
    )
    seen = Seen()
    model.fit(data, callbacks=[seen], verbose=0, **options)
    return {"batches": seen.batches, "weights": model.module.weight.tolist()}


def by_hand():
    """Return the weights of one process with the mean of both processes' losses."""
    torch.manual_seed(0)
    module = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(2):
        draws = [torch.Generator().manual_seed(rank) for rank in (0, 1)]
        for _ in range(3):
            x = torch.stack([torch.randn(6, generator=each) for each in draws])
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(x), torch.zeros(2, dtype=torch.long)).backward()
            optimizer.step()
    return module.weight.tolist()


def error_of(data):
    try:
        train(data, uneven="error")
    except ValueError as error:
        return str(error)
    return None


listed = [(torch.ones(1, 6), torch.tensor([0])) for _ in range(4 - RANK)]
results = {
    "stream": train(DataLoader(Stream(), 1), epochs=2),
    "by hand": by_hand(),
    "list": train(listed, epochs=2)["batches"],
    "steps": train(listed, epochs=3, steps_per_epoch=2)["batches"],
    "generator": train(iter(listed))["batches"],
    "refused without a length": error_of(DataLoader(Stream(), 1)),
    "refused": error_of(listed),
}
(Path(sys.argv[1]) / f"uneven-{RANK}.json").write_text(json.dumps(results))
