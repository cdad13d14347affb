"""A small classifier, its data and its net in skorch."""

import numpy as np
import torch
from onstage_skorch import OnstageCallback
from skorch import NeuralNetClassifier
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import nn

from onstage.testing import HostTraining

X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
Y = (X.sum(1) > 0).astype("int64")


class Module(nn.Module):
    def __init__(self, error=None):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 2)
        self.error = error
        self.steps = 0

    def forward(self, x):
        self.steps += self.training
        if self.error is not None and self.steps == 2:
            raise self.error
        return self.layer(x).softmax(-1)


def new_net(callbacks, *, error=None, epochs=3, **options):
    settings = {
        "module__error": error,
        "max_epochs": epochs,
        "lr": 0.1,
        "batch_size": 8,
        "iterator_valid__batch_size": 12,
        "train_split": predefined_split(Dataset(X, Y)),
        "verbose": 0,
    }
    return NeuralNetClassifier(Module, callbacks=callbacks, **{**settings, **options})


def fit(callbacks, *, epochs=3, beside=(), **options):
    """Train; return adapter and net."""
    adapter = callbacks if isinstance(callbacks, OnstageCallback) else OnstageCallback(callbacks)
    net = new_net([("onstage", adapter), *beside], epochs=epochs, **options)
    with adapter:
        net.fit(X, Y)
    return adapter, net


def make_training(callbacks, *, epochs, error=None):
    adapter = OnstageCallback(callbacks)
    made = {}

    def run():
        made["net"] = new_net([adapter], error=error, epochs=epochs)
        with adapter:
            made["net"].fit(X, Y)

    return HostTraining(
        adapter,
        run,
        batches=3,
        test_batches=2,
        learning_rate=lambda: made["net"].optimizer_.param_groups[0]["lr"],
        weights=lambda: [weight.numpy() for weight in made["net"].module_.state_dict().values()],
        suffix=".pt",
        interrupt_stops=True,
    )
