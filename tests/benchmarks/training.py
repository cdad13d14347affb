"""Cost of a training step: `fit`, a loop written by hand, and the matrix products alone.

``uv run --group bench python tests/benchmarks/training.py [FOLDER]``; put
``OPENBLAS_NUM_THREADS=1`` before it to use one core.

`fit` runs through the bus, with History, over 60 000 shuffled samples. After
each of its epochs the other two take their turn, over batches of the same data,
so that a slow phase of the machine affects all three.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from time import perf_counter

import numpy as np
from handwritten import adam, convolution, convolution_floor, dense, dense_floor, rmsprop, sgd
from harness import machine, show, write

from onstage import Callback, Sequential, layers

SAMPLES = 60_000
COLUMNS = ["products and gather", "by hand", "onstage fit"]


class TakeTurns(Callback):
    """Times the epochs of `fit`, and runs as many steps of the others after each."""

    def __init__(self, others: dict[str, Callable[[np.ndarray], None]], size: int, steps: int) -> None:
        self.others = {name: (step, passes(size)) for name, step in others.items()}
        self.steps = steps
        self.seconds: dict[str, list[float]] = {name: [] for name in COLUMNS}

    def on_epoch_begin(self, epoch, logs=None):
        self.begun = perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds["onstage fit"].append((perf_counter() - self.begun) / self.steps)
        for name, (step, rows) in self.others.items():
            begun = perf_counter()
            for _ in range(self.steps):
                step(next(rows))
            self.seconds[name].append((perf_counter() - begun) / self.steps)


def passes(size: int) -> Iterator[np.ndarray]:
    """Yield the rows of one batch after another, in a new order each pass."""
    rng = np.random.default_rng(0)
    while True:
        yield from rng.permutation(SAMPLES)[: SAMPLES // size * size].reshape(-1, size)


def measured(x, y, size, steps, turns, stack, optimizer, others) -> dict[str, float]:
    """Return the median microseconds of a step for each of the three."""
    model = Sequential(stack, seed=0)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    taken = TakeTurns(others, size, steps)
    model.fit(x, y, size, epochs=turns + 1, steps_per_epoch=steps, callbacks=[taken], verbose=0)
    return {name: statistics.median(each[1:]) * 1e6 for name, each in taken.seconds.items()}


def dense_rows():
    """Yield name, hidden units, optimizer, batch size, steps a turn (part of a pass) and turns."""
    yield "784-32-10, SGD, batch 32", [32], ("sgd", sgd), 32, 375, 30
    yield "784-32-10, SGD, batch 128", [32], ("sgd", sgd), 128, 67, 50
    yield "784-10, RMSprop, batch 128", [], ("rmsprop", rmsprop), 128, 67, 50
    yield "784-512-512-10, Adam, batch 128", [512, 512], ("adam", adam), 128, 7, 25


def measure(chosen: list[str]) -> dict[str, dict[str, float]]:
    rng = np.random.default_rng(0)
    x, y = rng.random((SAMPLES, 784), dtype=np.float32), rng.integers(10, size=SAMPLES)
    figures = {}
    for name, widths, (optimizer, loop), size, steps, turns in dense_rows():
        if not chosen or any(each in name for each in chosen):
            stack = [*(layers.Dense(n, "relu") for n in widths), layers.Dense(10, "softmax")]
            others = {
                "products and gather": dense_floor(x, y, size, widths),
                "by hand": dense(x, y, size, widths, loop),
            }
            figures[name] = measured(x, y, size, steps, turns, stack, optimizer, others)
    name = "conv 16, pool, conv 32, pool, 10, SGD, batch 64"
    if not chosen or any(each in name for each in chosen):
        images = x.reshape(-1, 28, 28, 1)
        stack = [
            *(layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D()),
            *(layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D()),
            *(layers.Flatten(), layers.Dense(10, "softmax")),
        ]
        others = {
            "products and gather": convolution_floor(images, y, 64),
            "by hand": convolution(images, y, 64, sgd),
        }
        figures[name] = measured(images, y, 64, 14, 20, stack, "sgd", others)
    return figures


def main() -> None:
    figures = measure(sys.argv[2:])
    table = [
        [name, *(taken[each] for each in COLUMNS), f"{taken['onstage fit'] / taken['by hand']:.2f}"]
        for name, taken in figures.items()
    ]
    show("microseconds for a training step", ["network", *COLUMNS, "fit / by hand"], table)
    print("\n" + "\n".join(f"{key}: {value}" for key, value in machine().items()))
    write("training", figures)


if __name__ == "__main__":
    main()
