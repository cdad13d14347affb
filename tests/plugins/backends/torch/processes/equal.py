"""Fits of several kinds, alone or with torchrun; rank 0 writes the results.

Usage: equal.py FOLDER; the joined batches are the same for any number of processes.
"""

import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import torch
from onstage_torch import TorchModel
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from onstage import Callback
from onstage.callbacks import CSVLogger, EarlyStopping, ModelCheckpoint, TerminateOnNaN

torch.set_num_threads(1)
FOLDER = Path(sys.argv[1])
WORLD = int(os.environ.get("WORLD_SIZE", "1"))
RANK = int(os.environ.get("RANK", "0"))

rng = np.random.default_rng(3)
# 16 to a batch: the last one has a single sample, so that with 4 processes 3 have none.
Y = np.arange(145) % 3
X = rng.normal(size=(145, 6)).astype(np.float32)
X[np.arange(145), Y] += 2


def module(seed=0):
    # Different weights in each process: the first one's are used.
    torch.manual_seed(seed + 100 * RANK)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def model(**options):
    options = {"metrics": ["accuracy", "sparse_top_k_categorical_accuracy"], **options}
    return TorchModel(
        module(), lambda p: torch.optim.SGD(p, 0.2, momentum=0.9), "cross_entropy", device="cpu", **options
    )


def arrays(**options):
    made = model(**options)
    history = made.fit(X, Y, batch_size=16, epochs=3, validation_data=(X[:37], Y[:37]), seed=5, verbose=0)
    return made, {"history": history.history, "evaluated": made.evaluate(X[:50], Y[:50], verbose=0)}


def loader():
    made = model()
    samples = TensorDataset(torch.from_numpy(X[:128]), torch.from_numpy(Y[:128]))
    history = made.fit(
        DataLoader(samples, 16 // WORLD),
        epochs=3,
        validation_data=DataLoader(samples, 7),
        verbose=0,
    )
    return made, {"history": history.history}


def weighted():
    made = model(weighted_metrics=["sparse_categorical_accuracy"])
    weights = np.linspace(0, 2, 145, dtype=np.float32)
    history = made.fit(X, Y, batch_size=16, epochs=2, sample_weight=weights, seed=5, verbose=0)
    return made, {"history": history.history}


def unfrozen(**options):
    """Train the first layer only in the second fit, from its second epoch on."""
    net = module()
    net[0].requires_grad_(False)
    made = TorchModel(
        net, lambda p: torch.optim.SGD(p, 0.2, momentum=0.9), "cross_entropy", device="cpu", **options
    )
    made.fit(X, Y, batch_size=16, epochs=1, seed=5, verbose=0)

    class Unfreezes(Callback):
        def on_epoch_begin(self, epoch):
            if epoch == 1:
                net[0].requires_grad_(True)

    history = made.fit(X, Y, batch_size=16, epochs=3, seed=6, verbose=0, callbacks=[Unfreezes()])
    return made, {"history": history.history}


def reduced(loss, **options):
    """Fit with a loss that is not a mean over samples: targets of class 2 are ignored, or it is a sum."""
    made = TorchModel(module(), lambda p: torch.optim.SGD(p, 0.02), loss, device="cpu", **options)
    history = made.fit(X, Y, batch_size=16, epochs=2, seed=5, verbose=0)
    return made, {"history": {name: each for name, each in history.history.items() if name != "loss"}}


class Temperature(nn.Module):
    def __init__(self):
        super().__init__()
        # A different value in each process: the first one's is used.
        self.log = nn.Parameter(torch.full((), 0.1 + RANK))

    def forward(self, outputs, targets):
        return nn.functional.cross_entropy(outputs * self.log.exp(), targets)


def learnt_loss():
    loss = Temperature()
    made = TorchModel(module(), lambda p: torch.optim.SGD(p, 0.2), loss, device="cpu")
    made.fit(X, Y, batch_size=16, epochs=2, seed=5, verbose=0)
    return made, {"temperature": everywhere(loss.log.item())}


def averaged_statistics():
    """Return whether all processes have the first one's buffers after training."""
    torch.manual_seed(RANK)
    net = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 3))
    made = TorchModel(net, torch.optim.SGD, "cross_entropy", device="cpu")
    made.fit(X[:128], Y[:128], batch_size=16, epochs=1, seed=5, verbose=0)
    gathered = [torch.zeros(6) for _ in range(WORLD)]
    if WORLD > 1:
        torch.distributed.all_gather(gathered, net[0].running_mean)
    return None, {"same": all(torch.equal(each, gathered[0]) for each in gathered)}


class AsksOn(Callback):
    """Requests a stop in one process only."""

    def __init__(self, rank, stage):
        self._rank = rank
        if stage == "epoch":
            self.on_epoch_end = self._ask
        else:
            self.on_train_batch_end = self._ask

    def _ask(self):
        if self.run.rank == self._rank:
            self.stop("enough")


class Counts(Callback):
    def __init__(self):
        self.batches = 0

    def on_train_batch_end(self):
        self.batches += 1


def stops(stage, agree_every=None):
    made, counts = model(agree_every=agree_every), Counts()
    history = made.fit(
        X, Y, batch_size=16, epochs=5, callbacks=[AsksOn(WORLD - 1, stage), counts], seed=5, verbose=0
    )
    return None, {
        "epochs": len(history.epoch),
        "batches": everywhere(counts.batches),
        "reason": history.stop_reason,
        "asker": history.stopped_by,
    }


def diverges_in_one():
    """Fit with a NaN sample in one process; all of them end."""
    x = X.copy()
    if RANK == WORLD - 1:
        x[RANK] = math.nan
    made, counts = model(agree_every=1), Counts()
    rows = torch.arange(16) if WORLD == 1 else torch.arange(RANK, 128, WORLD)
    batches = [(torch.from_numpy(x)[rows], torch.from_numpy(Y)[rows])] * 4
    history = made.fit(batches, epochs=3, callbacks=[TerminateOnNaN(), counts], verbose=0)
    return None, {"batches": everywhere(counts.batches), "reason": history.stop_reason}


def callbacks():
    made = model()
    history = made.fit(
        X,
        Y,
        batch_size=16,
        epochs=30,
        validation_data=(X[:37], Y[:37]),
        callbacks=[
            CSVLogger(FOLDER / "log.csv"),
            ModelCheckpoint(FOLDER / "model"),
            EarlyStopping(patience=2, min_delta=0.01, restore_best_weights=True),
        ],
        seed=5,
        verbose=0,
    )
    # Written before fit returned in any process: every process can read it now.
    readable = (FOLDER / "model.safetensors").exists()
    return made, {
        "plugins": [each["name"] for each in history.plugins],
        "epochs": len(history.epoch),
        "readable": everywhere(readable),
        "rows": len((FOLDER / "log.csv").read_text().splitlines()),
    }


def everywhere(value):
    """Return the value of each process."""
    gathered = [None] * WORLD
    if WORLD == 1:
        return [value]
    torch.distributed.all_gather_object(gathered, value)
    return gathered


def accumulated():
    return arrays(accumulate=4)


def main():
    results = {}
    for name, run in {
        "arrays": arrays,
        "loader": loader,
        "weighted": weighted,
        "accumulated": accumulated,
        "unfrozen": unfrozen,
        "unfrozen, averaged": lambda: unfrozen(use_ema=True, ema_momentum=0.9, accumulate=2),
        "ignored": lambda: reduced(
            nn.CrossEntropyLoss(torch.tensor([1.0, 3.0, 2.0]), ignore_index=2), metrics=["accuracy"]
        ),
        "ignored, accumulated": lambda: reduced(nn.CrossEntropyLoss(ignore_index=2), accumulate=3),
        "sum": lambda: reduced(nn.CrossEntropyLoss(reduction="sum")),
        "learnt_loss": learnt_loss,
        "averaged_statistics": averaged_statistics,
        "stops after an epoch": lambda: stops("epoch"),
        "stops after a batch": lambda: stops("batch"),
        "stops where agreed": lambda: stops("batch", agree_every=3),
        "diverges_in_one": diverges_in_one,
        "callbacks": callbacks,
    }.items():
        made, result = run()
        if made is not None:
            weights = [weight.tolist() for weight in made.get_weights()]
            result["same everywhere"] = all(each == weights for each in everywhere(weights))
            result["weights"] = weights
        result["histories"] = everywhere(result.get("history"))
        results[name] = result
    if RANK == 0:
        (FOLDER / "results.json").write_text(json.dumps(results))


main()
