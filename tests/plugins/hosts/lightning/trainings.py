"""A small classifier, its data and its Trainer, in either package of Lightning."""

from importlib import import_module

import numpy as np
import torch
from onstage_lightning import OnstageCallback
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from onstage.testing import HostTraining


def loaders():
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.normal(size=(24, 4)), dtype=torch.float32)
    data = TensorDataset(x, (x.sum(1) > 0).long())
    return DataLoader(data, batch_size=8), DataLoader(data, batch_size=12)


def new_module(pl, *, error=None, scheduler=None, rate=0.1):
    class Classifier(pl.LightningModule):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.layer = nn.Linear(4, 2)

        def _measure(self, batch):
            x, y = batch
            outputs = self.layer(x)
            return nn.functional.cross_entropy(outputs, y), (outputs.argmax(1) == y).float().mean()

        def training_step(self, batch, batch_idx):
            if error is not None and batch_idx == 1:
                raise error
            loss, accuracy = self._measure(batch)
            self.log("train_loss", loss)
            self.log("train_acc", accuracy, on_epoch=True, on_step=False)
            return loss

        def validation_step(self, batch, batch_idx):
            loss, accuracy = self._measure(batch)
            self.log("val_loss", loss)
            self.log("val_acc", accuracy)

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=rate)
            return optimizer if scheduler is None else ([optimizer], [scheduler(optimizer)])

    return Classifier()


def new_trainer(pl, callbacks, epochs, **options):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return pl.Trainer(
        max_epochs=epochs,
        callbacks=callbacks,
        accelerator="cpu",
        **{**quiet, "enable_checkpointing": False, **options},
    )


def fit(callbacks, *, epochs=3, package="lightning.pytorch", ckpt_path=None, module=None, **options):
    """Train; return adapter, trainer and module."""
    pl = import_module(package)
    adapter = callbacks if isinstance(callbacks, OnstageCallback) else OnstageCallback(callbacks)
    beside = options.pop("beside", [])
    trainer = new_trainer(pl, [adapter, *beside], epochs, **options)
    module = module or new_module(pl)
    trainer.fit(module, *loaders(), ckpt_path=ckpt_path)
    return adapter, trainer, module


def make_training(callbacks, *, epochs, error=None, package="lightning.pytorch"):
    pl = import_module(package)
    adapter = OnstageCallback(callbacks)
    made = {}

    def run():
        made["module"] = new_module(pl, error=error)
        made["trainer"] = new_trainer(pl, [adapter], epochs)
        made["trainer"].fit(made["module"], *loaders())

    return HostTraining(
        adapter,
        run,
        batches=3,
        test_batches=2,
        learning_rate=lambda: made["trainer"].optimizers[0].param_groups[0]["lr"],
        weights=lambda: [weight.numpy() for weight in made["module"].state_dict().values()],
        suffix=".ckpt",
    )
