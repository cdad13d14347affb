"""A small classifier, its data, its engines and their training in Ignite."""

import numpy as np
import torch
from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
from ignite.metrics import Accuracy, Loss
from onstage_ignite import OnstageHandler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from onstage.testing import HostTraining


def loaders():
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.normal(size=(24, 4)), dtype=torch.float32)
    data = TensorDataset(x, (x.sum(1) > 0).long())
    return DataLoader(data, batch_size=8), DataLoader(data, batch_size=12)


class Training:
    """A module, its optimizer, trainer and evaluator; the trainer validates after each epoch."""

    def __init__(self, *, error=None, rate=0.1, momentum=0.0, wrap=lambda module: module):
        torch.manual_seed(0)
        self.module = wrap(nn.Linear(4, 2))
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=rate, momentum=momentum)
        self.error = error
        self.trainer = create_supervised_trainer(self.module, self.optimizer, self.measure)
        metrics = {"accuracy": Accuracy(), "loss": Loss(nn.functional.cross_entropy)}
        self.evaluator = create_supervised_evaluator(self.module, metrics=metrics)
        self.train_data, self.test_data = loaders()
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: self.evaluator.run(self.test_data))

    def measure(self, outputs, y):
        if self.error is not None and self.trainer.state.iteration == 2:
            raise self.error
        return nn.functional.cross_entropy(outputs, y)

    def attach(self, callbacks, **options):
        handler = callbacks if isinstance(callbacks, OnstageHandler) else OnstageHandler(callbacks)
        parts = {"evaluator": self.evaluator, "model": self.module, "optimizer": self.optimizer}
        handler.attach(self.trainer, **{**parts, **options})
        return handler

    def run(self, epochs=3, **options):
        self.trainer.run(self.train_data, max_epochs=epochs, **options)


def fit(callbacks, *, epochs=3, training=None, **options):
    """Train; return handler and training."""
    training = training or Training()
    handler = training.attach(callbacks, **options)
    training.run(epochs)
    return handler, training


def make_training(callbacks, *, epochs, error=None):
    handler = OnstageHandler(callbacks)
    made = {}

    def run():
        made["training"] = Training(error=error)
        fit(handler, epochs=epochs, training=made["training"])

    return HostTraining(
        handler,
        run,
        batches=3,
        test_batches=2,
        learning_rate=lambda: made["training"].optimizer.param_groups[0]["lr"],
        weights=lambda: [weight.numpy() for weight in made["training"].module.state_dict().values()],
        suffix=".pt",
    )
