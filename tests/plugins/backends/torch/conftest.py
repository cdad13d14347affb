"""A small problem, and modules with equal initial weights."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAMS = Path(__file__).parent / "processes"


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


@pytest.fixture(scope="session")
def torchrun():
    """Return a function that runs one of the programs in `processes/` in two processes."""

    def run(program, folder, *arguments):
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
        command += ["--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0"]
        done = subprocess.run(
            [*command, str(PROGRAMS / program), str(folder), *arguments],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    return run
