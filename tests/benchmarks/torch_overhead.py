"""Cost of a step of ``TorchModel.fit`` beside a bare torch loop; the goal is at most 3 % more.

``python tests/benchmarks/torch_overhead.py [FOLDER]`` needs torch, and also measures Keras
on torch, Lightning, Ignite and transformers if they are installed.

The network is 784→32→10 and batches of 128 are ready in memory. The loader,
the same for all, records the time at which each batch is requested: the time
between two requests is one whole step. All run on one core and take turns.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
from collections.abc import Callable, Iterator
from itertools import pairwise
from time import perf_counter
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import torch
from harness import machine, show, write
from onstage_torch import TorchModel
from torch import nn
from torch.nn import functional as F

BATCHES, EPOCHS, ROUNDS = 200, 2, 15
X = torch.rand(128 * BATCHES, 784)
Y = torch.randint(0, 10, (128 * BATCHES,))

Fit = Callable[["Loader"], object]


class Loader:
    """Batches in memory; records the time at which each is requested."""

    def __init__(self) -> None:
        self.asked: list[list[float]] = []
        self.batches = [(X[i : i + 128], Y[i : i + 128]) for i in range(0, len(X), 128)]

    def __len__(self) -> int:
        return BATCHES

    def __iter__(self) -> Iterator[Any]:
        times: list[float] = []
        self.asked.append(times)
        for batch in self.batches:
            times.append(perf_counter())
            yield batch

    def steps(self) -> list[float]:
        """Return the seconds from each batch to the next of its epoch."""
        return [after - before for times in self.asked for before, after in pairwise(times)]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))


def bare(metrics: tuple[str, ...]) -> Fit:
    """Run the loop of torch's tutorials, with the mean loss and optionally the mean accuracy."""
    module, loss_function = network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)

    def fit(loader: Loader) -> object:
        for _ in range(EPOCHS):
            module.train()
            total = correct = seen = 0.0
            for x, y in loader:
                optimizer.zero_grad()
                outputs = module(x)
                loss = loss_function(outputs, y)
                loss.backward()
                optimizer.step()
                if "loss" in metrics:
                    total += loss.item() * len(y)
                    seen += len(y)
                if "accuracy" in metrics:
                    correct += (outputs.argmax(1) == y).sum().item()
        return total, correct, seen

    return fit


def onstage(metrics: tuple[str, ...]) -> Fit:
    module = network()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    others = [name for name in metrics if name != "loss"]
    model = TorchModel(module, optimizer, nn.CrossEntropyLoss(), others, device="cpu")
    return lambda loader: model.fit(loader, epochs=EPOCHS, verbose=0)


def keras(metrics: tuple[str, ...]) -> Fit:
    import keras

    model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss, metrics=[name for name in metrics if name != "loss"])

    def fit(loader: Loader) -> object:
        passes = (batch for _ in range(EPOCHS + 1) for batch in loader)
        return model.fit(passes, steps_per_epoch=BATCHES, epochs=EPOCHS, verbose=0)

    return fit


def lightning(metrics: tuple[str, ...]) -> Fit:
    import logging

    import lightning as L

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(L.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def training_step(self, batch: Any, index: int) -> Any:
            x, y = batch
            outputs = self.net(x)
            loss = F.cross_entropy(outputs, y)
            self.log("loss", loss, on_step=False, on_epoch=True)
            if "accuracy" in metrics:
                self.log("accuracy", (outputs.argmax(1) == y).float().mean(), on_step=False, on_epoch=True)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    def fit(loader: Loader) -> None:
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = L.Trainer(max_epochs=EPOCHS, accelerator="cpu", enable_model_summary=False, **quiet)
        trainer.fit(Module(), loader)

    return fit


def ignite(metrics: tuple[str, ...]) -> Fit:
    from ignite.engine import create_supervised_trainer
    from ignite.metrics import Accuracy, Loss

    module = network()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    trainer = create_supervised_trainer(
        module, optimizer, nn.CrossEntropyLoss(), output_transform=lambda x, y, outputs, loss: (outputs, y)
    )
    Loss(nn.CrossEntropyLoss()).attach(trainer, "loss")
    if "accuracy" in metrics:
        Accuracy().attach(trainer, "accuracy")
    return lambda loader: trainer.run(loader, max_epochs=EPOCHS)


def transformers(metrics: tuple[str, ...]) -> Fit:
    import tempfile

    from transformers import Trainer, TrainingArguments

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, x: Any, labels: Any) -> dict[str, Any]:
            outputs = self.net(x)
            return {"loss": F.cross_entropy(outputs, labels), "logits": outputs}

    def fit(loader: Loader) -> None:
        batches = [{"x": x, "labels": y} for x, y in loader.batches]

        class Times:
            def __len__(self) -> int:
                return BATCHES

            def __iter__(self) -> Iterator[Any]:
                for _, batch in zip(iter(loader), batches, strict=True):
                    yield batch

        class Own(Trainer):  # type: ignore[misc]
            def get_train_dataloader(self) -> Any:
                return Times()

        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                folder,
                num_train_epochs=EPOCHS,
                report_to=[],
                save_strategy="no",
                disable_tqdm=True,
                use_cpu=True,
                logging_strategy="epoch",
                learning_rate=0.01,
                optim="sgd",
            )
            Own(Net(), arguments, train_dataset=loader.batches).train()

    return fit


PEERS = {"keras": keras, "lightning": lightning, "ignite": ignite, "transformers": transformers}


def measure(metrics: tuple[str, ...]) -> dict[str, float]:
    """Return each candidate's median microseconds a step, all taking turns."""
    fits = {
        "bare loop": bare(metrics),
        "the same, nothing kept": bare(()),
        "TorchModel.fit": onstage(metrics),
    }
    fits |= {name: maker(metrics) for name, maker in PEERS.items() if importlib.util.find_spec(name)}
    steps: dict[str, list[float]] = {name: [] for name in fits}
    for fit in fits.values():
        fit(Loader())
    for _ in range(ROUNDS):
        for name, fit in fits.items():
            loader = Loader()
            fit(loader)
            steps[name] += loader.steps()
    return {name: statistics.median(taken) * 1e6 for name, taken in steps.items()}


def main() -> None:
    torch.set_num_threads(1)
    figures = {}
    for metrics in (("loss",), ("loss", "accuracy")):
        kept, found = " and ".join(metrics), measure(metrics)
        floor = found["bare loop"]
        show(
            f"784→32→10, batch 128, one core, {kept} kept; goal: fit at most +3 %; torch {torch.__version__}",
            ["", "µs a step", "beside the loop"],
            [[name, us, f"{us / floor - 1:+.1%}"] for name, us in found.items()],
        )
        figures[kept] = found
    print(machine())
    write("torch_overhead", figures)


if __name__ == "__main__":
    main()
