"""Cost of a training step: `fit` beside scikit-learn, PyTorch, Keras and Lightning.

``python tests/benchmarks/peers.py [FOLDER [ROW…]]`` measures those that are installed:
``onstage-core``, ``torch``, ``keras`` with ``jax`` or torch, ``scikit-learn``, ``lightning``.
To use one core, put ``OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 taskset -c 0`` before it.

Each trains in a process of its own, over the same shuffled samples, and
accumulates loss and accuracy. The processes take turns of one epoch; while one
trains, the others wait. An epoch is timed from its own begin to its end.
"""

from __future__ import annotations

import importlib.util
import math
import os
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from harness import machine, show, write

EPOCHS = 1_000_000
"""More epochs than are ever requested; the process exits when stdin ends."""
WARM_UP, TURNS = 2, 7

ROWS: dict[str, dict[str, Any]] = {
    "784-32-10, SGD, batch 32": {"widths": [32], "optimizer": "sgd", "size": 32, "samples": 20_000},
    "784-32-10, SGD, batch 128": {"widths": [32], "optimizer": "sgd", "size": 128, "samples": 59_904},
    "784-10, RMSprop, batch 128": {"widths": [], "optimizer": "rmsprop", "size": 128, "samples": 59_904},
    "784-512-512-10, Adam, batch 128": {
        "widths": [512, 512],
        "optimizer": "adam",
        "size": 128,
        "samples": 12_800,
    },
    "conv 16, pool, conv 32, pool, 10, SGD, batch 64": {
        "widths": None,
        "optimizer": "sgd",
        "size": 64,
        "samples": 12_800,
    },
}
RATES = {"sgd": 0.01, "rmsprop": 0.001, "adam": 0.001}
"""Keras's defaults, used by all."""


class Turn:
    """Times the epochs: waits for a line on stdin before each, prints its microseconds a step."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.steps = row["samples"] // row["size"]

    def begin(self) -> None:
        if not sys.stdin.readline():
            os._exit(0)
        self.begun = perf_counter()

    def end(self) -> None:
        print((perf_counter() - self.begun) / self.steps * 1e6, flush=True)


def data(row: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.random((row["samples"], 784), dtype=np.float32)
    return (x.reshape(-1, 28, 28, 1) if row["widths"] is None else x), rng.integers(10, size=row["samples"])


def onstage(row: dict[str, Any], turn: Turn) -> None:
    from onstage import Callback, Sequential, layers

    _keras_like(row, turn, Sequential, layers, Callback)


def by_hand(row: dict[str, Any], turn: Turn) -> None:
    import handwritten

    x, y = data(row)
    optimizer = getattr(handwritten, row["optimizer"])
    if row["widths"] is None:
        step = handwritten.convolution(x, y, row["size"], optimizer)
    else:
        step = handwritten.dense(x, y, row["size"], row["widths"], optimizer)
    rng = np.random.default_rng(0)
    while True:
        turn.begin()
        for rows in rng.permutation(len(x)).reshape(-1, row["size"]):
            step(rows)
        turn.end()


def keras_jax(row: dict[str, Any], turn: Turn, steps_per_execution: int = 1) -> None:
    os.environ["KERAS_BACKEND"] = "jax"
    _keras(row, turn, steps_per_execution=steps_per_execution)


def keras_jax_32(row: dict[str, Any], turn: Turn) -> None:
    keras_jax(row, turn, steps_per_execution=32)


def keras_torch(row: dict[str, Any], turn: Turn) -> None:
    os.environ["KERAS_BACKEND"] = "torch"
    _keras(row, turn)


def _keras(row: dict[str, Any], turn: Turn, **compiled: Any) -> None:
    import keras

    _keras_like(row, turn, keras.Sequential, keras.layers, keras.callbacks.Callback, **compiled)


def _keras_like(
    row: dict[str, Any], turn: Turn, sequential: Any, layers: Any, callback: Any, **compiled: Any
) -> None:
    class TakesTurns(callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch, logs=None):
            turn.begin()

        def on_epoch_end(self, epoch, logs=None):
            turn.end()

    if row["widths"] is None:
        stack = [
            *(layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D()),
            *(layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten()),
        ]
    else:
        stack = [layers.Dense(n, activation="relu") for n in row["widths"]]
    model = sequential([*stack, layers.Dense(10, activation="softmax")])
    model.compile(row["optimizer"], "sparse_categorical_crossentropy", metrics=["accuracy"], **compiled)
    model.fit(*data(row), batch_size=row["size"], epochs=EPOCHS, verbose=0, callbacks=[TakesTurns()])


def scikit_learn(row: dict[str, Any], turn: Turn) -> None:
    from sklearn.neural_network import MLPClassifier

    class TakesTurns(MLPClassifier):
        """Times epochs by a hook in MLPClassifier, which has no callbacks: its check of the loss."""

        def _update_no_improvement_count(self, *args: Any) -> None:
            turn.end()
            turn.begin()

    x, y = data(row)
    model = TakesTurns(
        row["widths"],
        solver=row["optimizer"],
        batch_size=row["size"],
        alpha=0,
        learning_rate_init=RATES[row["optimizer"]],
        momentum=0,
        max_iter=EPOCHS,
    )
    turn.begin()
    model.fit(x, y)


def _torch_network(row: dict[str, Any]) -> tuple[Any, Any]:
    import torch
    from torch import nn

    if row["widths"] is None:
        network = nn.Sequential(
            *(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(800, 10)),
        )
    else:
        sizes = [784, *row["widths"]]
        hidden = [
            layer
            for n, width in enumerate(row["widths"])
            for layer in (nn.Linear(sizes[n], width), nn.ReLU())
        ]
        network = nn.Sequential(*hidden, nn.Linear(sizes[-1], 10))
    kinds = {"sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop, "adam": torch.optim.Adam}
    return network, kinds[row["optimizer"]](network.parameters(), lr=RATES[row["optimizer"]])


def _tensors(row: dict[str, Any]) -> tuple[Any, Any]:
    import torch

    x, y = data(row)
    return torch.from_numpy(x.reshape(-1, 1, 28, 28) if row["widths"] is None else x), torch.from_numpy(y)


def torch_loop(row: dict[str, Any], turn: Turn) -> None:
    import torch
    from torch.nn import functional as F

    network, optimizer = _torch_network(row)
    x, y = _tensors(row)
    while True:
        turn.begin()
        total, right = torch.zeros(()), torch.zeros((), dtype=torch.long)
        for rows in torch.randperm(len(x)).split(row["size"]):
            inputs, targets = x[rows], y[rows]
            outputs = network(inputs)
            loss = F.cross_entropy(outputs, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(rows)
            right += (outputs.argmax(1) == targets).sum()
        total.item(), right.item()
        turn.end()


def lightning(row: dict[str, Any], turn: Turn) -> None:
    import logging

    import lightning as L
    from torch.nn import functional as F
    from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

    network, optimizer = _torch_network(row)

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def training_step(self, batch: Any) -> Any:
            outputs = self.network(batch[0])
            loss = F.cross_entropy(outputs, batch[1])
            right = (outputs.argmax(1) == batch[1]).float().mean()
            self.log_dict({"loss": loss.detach(), "accuracy": right}, on_step=False, on_epoch=True)
            return loss

        def configure_optimizers(self) -> Any:
            return optimizer

    class TakesTurns(L.Callback):
        def on_train_epoch_start(self, *_: Any) -> None:
            turn.begin()

        def on_train_epoch_end(self, *_: Any) -> None:
            turn.end()

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    samples = TensorDataset(*_tensors(row))
    # Whole batches from the dataset: collating sample by sample would cost more than the step.
    batches = BatchSampler(RandomSampler(samples), row["size"], drop_last=True)
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=EPOCHS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[TakesTurns()],
    )
    trainer.fit(Module(), DataLoader(samples, sampler=batches, batch_size=None))


TUNED = "and 32 steps at once"
PEERS: dict[str, tuple[Callable[[dict[str, Any], Turn], None], tuple[str, ...]]] = {
    "onstage fit": (onstage, ("onstage",)),
    "by hand": (by_hand, ()),
    "Keras on JAX": (keras_jax, ("keras", "jax")),
    TUNED: (keras_jax_32, ("keras", "jax")),
    "scikit-learn": (scikit_learn, ("sklearn",)),
    "PyTorch loop": (torch_loop, ("torch",)),
    "Keras on torch": (keras_torch, ("keras", "torch")),
    "Lightning": (lightning, ("lightning", "torch")),
}


def takes_part(name: str, row: dict[str, Any]) -> bool:
    can = name != "scikit-learn" or (row["widths"] is not None and row["optimizer"] != "rmsprop")
    return can and all(importlib.util.find_spec(each) for each in PEERS[name][1])


def measure(title: str) -> dict[str, float]:
    """Return the median microseconds of a step for each peer."""
    command = [sys.executable, "-W", "ignore", __file__, "--worker", title]
    workers = {
        name: subprocess.Popen(
            [*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for name in PEERS
        if takes_part(name, ROWS[title])
    }
    taken: dict[str, list[float]] = {name: [] for name in workers}
    try:
        for turn in range(WARM_UP + TURNS):
            for name, worker in workers.items():
                ask: Any = worker.stdin
                answer: Any = worker.stdout
                ask.write("\n")
                ask.flush()
                said = answer.readline()
                if not said:
                    raise RuntimeError(f"{name} failed: {worker.communicate()[1]}")
                if turn >= WARM_UP:
                    taken[name].append(float(said))
    finally:
        for worker in workers.values():
            worker.kill()
            worker.communicate()
    return {name: statistics.median(times) for name, times in taken.items()}


def fastest(taken: dict[str, float]) -> list[str]:
    """Compare `fit` with the handwritten loop, and the fastest peer untuned and tuned."""
    fit, hand, *others = (taken[name] for name in taken if name != TUNED)
    peers = min(others, default=math.nan)
    tuned = min(peers, taken.get(TUNED, math.nan))
    return [f"{ratio:.2f}" for ratio in (fit / hand, peers / fit, tuned / fit)]


def work(title: str, name: str) -> None:
    """Train as one of the peers, one epoch for each line on stdin."""
    warnings.simplefilter("ignore")
    PEERS[name][0](ROWS[title], Turn(ROWS[title]))


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        work(*sys.argv[2:])
        return
    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    chosen = [title for title in ROWS if not sys.argv[2:] or any(part in title for part in sys.argv[2:])]
    figures = {title: measure(title) for title in chosen}
    names = [name for name in PEERS if any(name in taken for taken in figures.values())]
    rows = [
        [title, *(taken.get(name, "-") for name in names), *fastest(taken)]
        for title, taken in figures.items()
    ]
    columns = ["network", *names, "fit / by hand", "fastest peer / fit", "and with 32 at once"]
    show("microseconds for a training step", columns, rows)
    write("peers", figures)


if __name__ == "__main__":
    main()
