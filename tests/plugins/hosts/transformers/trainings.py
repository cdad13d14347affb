"""A small classifier, its data and its Trainer."""

import numpy as np
import torch
from onstage_transformers import OnstageCallback
from torch import nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from onstage.testing import HostTraining

RNG = np.random.default_rng(0)
X = torch.tensor(RNG.normal(size=(24, 4)), dtype=torch.float32)
Y = (X.sum(1) > 0).long()


class Samples(Dataset):
    """24 samples; one raises an error, if there is one."""

    def __init__(self, error=None):
        self.error = error

    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        if self.error is not None and index == 8:
            raise self.error
        return {"x": X[index], "labels": Y[index]}


class Classifier(nn.Module):
    """Returns its loss, as the models of transformers do."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 2)

    def forward(self, x, labels=None):
        logits = self.layer(x)
        if labels is None:
            return {"logits": logits}
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class InOrder(Trainer):
    """Trains on the samples in their order."""

    def _get_train_sampler(self, train_dataset=None):
        return torch.utils.data.SequentialSampler(self.train_dataset)


def accuracy(prediction):
    return {"accuracy": float((prediction.predictions.argmax(1) == prediction.label_ids).mean())}


def new_trainer(callbacks, epochs, *, model=None, train=None, evaluation=None, trainer=InOrder, **options):
    kinds = ("compute_loss_func", "optimizers", "model_init", "data_collator")
    of_trainer = {name: options.pop(name) for name in kinds if name in options}
    quiet = {"report_to": "none", "disable_tqdm": True, "save_strategy": "no", "use_cpu": True}
    arguments = TrainingArguments(
        output_dir="out",
        num_train_epochs=epochs,
        **{
            **quiet,
            "learning_rate": 0.1,
            "lr_scheduler_type": "constant",
            "optim": "sgd",
            "max_grad_norm": 0.0,
            "per_device_train_batch_size": 8,
            "per_device_eval_batch_size": 12,
            "eval_strategy": "epoch",
            "logging_strategy": "epoch",
            **options,
        },
    )
    return trainer(
        model or Classifier(),
        arguments,
        train_dataset=train or Samples(),
        eval_dataset=Samples() if evaluation is None else evaluation,
        compute_metrics=accuracy,
        callbacks=callbacks,
        **of_trainer,
    )


def fit(callbacks, *, epochs=3, resume=None, beside=(), **options):
    """Train; return adapter and trainer."""
    adapter = callbacks if isinstance(callbacks, OnstageCallback) else OnstageCallback(callbacks)
    trainer = new_trainer([*beside, adapter], epochs, **options)
    with adapter:
        trainer.train(resume_from_checkpoint=resume)
    return adapter, trainer


def make_training(callbacks, *, epochs, error=None):
    adapter = OnstageCallback(callbacks)
    made = {}

    def run():
        made["trainer"] = new_trainer([adapter], epochs, train=Samples(error))
        with adapter:
            made["trainer"].train()

    return HostTraining(
        adapter,
        run,
        batches=3,
        test_batches=2,
        learning_rate=lambda: made["trainer"].optimizer.param_groups[0]["lr"],
        weights=lambda: [weight.numpy() for weight in made["trainer"].model.state_dict().values()],
        suffix=".safetensors",
    )
