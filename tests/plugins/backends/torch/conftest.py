"""A small problem, and modules with equal initial weights."""

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def one_thread():
    """Use one thread: on few cores, waiting threads make tiny steps slow."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)


@pytest.fixture
def data():
    """Return 40 samples of 6 numbers in 3 classes that a linear layer can separate."""
    rng = np.random.default_rng(7)
    y = np.arange(40) % 3
    x = rng.normal(size=(40, 6)).astype(np.float32)
    x[np.arange(40), y] += 2
    return x, y


@pytest.fixture
def new_module():
    """Return a function that makes equal modules; with `dropout`, a random one."""

    def make(dropout=0.0, seed=3):
        import torch
        from torch import nn

        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 3))

    return make


@pytest.fixture
def new_model(new_module):
    """Return a function that makes equal models."""

    def make(dropout=0.0, optimizer=None, loss="cross_entropy", metrics=("accuracy",), **options):
        import torch
        from onstage_torch import TorchModel

        def sgd(parameters):
            return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)

        metrics = list(metrics) if isinstance(metrics, tuple) else metrics
        return TorchModel(new_module(dropout), optimizer or sgd, loss, metrics, device="cpu", **options)

    return make
