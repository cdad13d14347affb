"""A small classifier, its data and its Learner in fastai."""

import numpy as np
import torch
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.optimizer import SGD
from onstage_fastai import OnstageCallback
from torch import nn

from onstage.testing import HostTraining


def accuracy(outputs, y):
    return (outputs.argmax(1) == y).float().mean()


class Data(list):
    def new_empty(self):  # for an exported Learner
        return Data()


def loaders():
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.normal(size=(24, 4)), dtype=torch.float32)
    data = Data(zip(x, (x.sum(1) > 0).long(), strict=True))
    return DataLoaders(DataLoader(data, bs=8), DataLoader(data, bs=12), device="cpu")


class Loss:
    """Cross-entropy that raises an error in the second step of the training."""

    def __init__(self, error):
        self.error, self.steps = error, 0

    def __call__(self, outputs, y):
        self.steps += 1
        if self.error is not None and self.steps == 2:
            raise self.error
        return nn.functional.cross_entropy(outputs, y)


def new_learner(cbs, *, error=None, **options):
    torch.manual_seed(0)
    settings = {"loss_func": Loss(error), "opt_func": SGD, "lr": 0.1, "metrics": accuracy, "cbs": cbs}
    learn = Learner(loaders(), nn.Linear(4, 2), **{**settings, **options})
    learn.remove_cbs([each for each in learn.cbs if type(each).__name__ == "ProgressCallback"])
    learn.logger = lambda row: None
    return learn


def fit(callbacks, *, epochs=3, beside=(), **options):
    """Train; return adapter and Learner."""
    adapter = callbacks if isinstance(callbacks, OnstageCallback) else OnstageCallback(callbacks)
    learn = new_learner([adapter, *beside], **options)
    with adapter:
        learn.fit(epochs)
    return adapter, learn


def make_training(callbacks, *, epochs, error=None):
    adapter = OnstageCallback(callbacks)
    made = {}

    def run():
        made["learn"] = new_learner([adapter], error=error)
        with adapter:
            made["learn"].fit(epochs)

    return HostTraining(
        adapter,
        run,
        batches=3,
        test_batches=2,
        learning_rate=lambda: made["learn"].opt.hypers[-1]["lr"],
        weights=lambda: [weight.numpy() for weight in made["learn"].model.state_dict().values()],
        suffix=".pth",
    )
