"""Cost of a step in long trainings, over much data, with many callbacks; and a plot.

``uv run --group bench python tests/benchmarks/scale.py [FOLDER]``
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from time import perf_counter

import matplotlib as mpl
import numpy as np
from dispatch import PAIRS, REPEATS, Active, compiled, empty_loop, plain
from harness import interleaved, machine, show, write
from matplotlib import pyplot as plt

from onstage import Run, Sequential, layers
from onstage.callbacks import (
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ReduceLROnPlateau,
    TerminateOnNaN,
)

BATCH = 100
FEATURES = 8
EPOCHS = [10, 100, 1_000, 10_000]
SAMPLES = [1_000, 10_000, 100_000, 1_000_000, 10_000_000]
CALLBACKS = [0, 1, 2, 5, 10, 20, 50, 100]
EPOCH = 10
"""Steps of an epoch, where epochs are counted."""
_STEPS = 10_000
"""At least so many are timed, where samples are counted."""


def made():
    """Make a network so small that its steps don't hide the measured cost."""
    model = Sequential([layers.Input((FEATURES,)), layers.Dense(16, "relu"), layers.Dense(1)], seed=0)
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def five():
    """Make callbacks that neither stop the training nor wait for a disk."""
    return [
        EarlyStopping("loss", patience=10**6),
        ReduceLROnPlateau("loss", patience=10**6),
        TerminateOnNaN(),
        LambdaCallback(on_epoch_end=lambda epoch, logs: None),
        LearningRateScheduler(lambda epoch, rate: rate),
    ]


def by_epochs():
    """Measure the microseconds of a step by number of epochs, without and with five callbacks."""
    rng = np.random.default_rng(0)
    x, y = rng.random((EPOCH * BATCH, FEATURES), np.float32), rng.random((EPOCH * BATCH, 1), np.float32)
    figures = {}
    for epochs in EPOCHS:

        def train(with_callbacks, epochs=epochs):
            callbacks = five() if with_callbacks else []
            made().fit(x, y, BATCH, epochs=epochs, verbose=0, callbacks=callbacks)

        seconds = interleaved(
            {"no callback": partial(train, False), "five callbacks": partial(train, True)},
            repeats=9 if epochs <= 100 else 3,
        )
        figures[epochs] = {name: taken / (EPOCH * epochs) * 1e6 for name, taken in seconds.items()}
    return figures


def by_samples():
    """Measure the microseconds of a step by number of samples: in order, shuffled, gathering alone."""
    rng = np.random.default_rng(0)
    x, y = rng.random((max(SAMPLES), FEATURES), np.float32), rng.random((max(SAMPLES), 1), np.float32)
    figures = {}
    for samples in SAMPLES:
        epochs = max(1, _STEPS * BATCH // samples)
        steps = epochs * samples // BATCH
        part = x[:samples], y[:samples]

        seconds = interleaved(
            {
                "in order": partial(fit, *part, epochs, False),
                "shuffled": partial(fit, *part, epochs, True),
                "permutation and gather alone": partial(gather, rng, *part, epochs),
            },
            repeats=5 if steps <= _STEPS else 1,
        )
        figures[samples] = {name: taken / steps * 1e6 for name, taken in seconds.items()}
    return figures


def fit(x, y, epochs, shuffle):
    """Train a new network."""
    made().fit(x, y, BATCH, epochs=epochs, verbose=0, shuffle=shuffle)


def gather(rng, x, y, epochs):
    """Draw an order and copy the batches out: the minimum cost of shuffling."""
    buffer_x, buffer_y = np.empty((BATCH, *x.shape[1:]), x.dtype), np.empty((BATCH, 1), y.dtype)
    for _ in range(epochs):
        for rows in rng.permutation(len(x)).reshape(-1, BATCH):
            x.take(rows, 0, buffer_x, "clip")
            y.take(rows, 0, buffer_y, "clip")


def by_callbacks():
    """Measure the nanoseconds of a pair of batch events by number of active callbacks."""
    figures = {}
    for active in CALLBACKS:
        callbacks = [Active() for _ in range(active)]
        logs = {"loss": 0.5}
        seconds = interleaved(
            {
                "empty": empty_loop,
                "onstage": compiled(Run(callbacks=callbacks), logs),
                "plain loop": plain(callbacks, logs),
            },
            repeats=REPEATS,
        )
        figures[active] = {
            name: (seconds[name] - seconds["empty"]) / PAIRS * 1e9 for name in ("onstage", "plain loop")
        }
    return figures


def slopes(figures):
    """Fit a line to the costs; return nanoseconds a callback and the worst relative residual."""
    counts = np.array(list(figures), float)
    lines = {}
    for name in ("onstage", "plain loop"):
        costs = np.array([figures[count][name] for count in figures])
        many = counts >= 5  # below that, the empty loop's own time dominates
        slope, start = np.polyfit(counts[many], costs[many], 1)
        fitted = slope * counts[many] + start
        lines[name] = {"slope": slope, "residual": float(np.abs(costs[many] / fitted - 1).max())}
    return lines


def plot(figures, path):
    """Plot all three with axes from zero, so that a constant cost looks constant."""
    mpl.use("Agg")
    panels = (
        ("epochs", "a step, µs", "epochs", True),
        ("samples", "a step, µs", "samples", True),
        ("callbacks", "a pair of batch events, µs", "active callbacks", False),
    )
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for axis, (which, cost, by, logarithmic) in zip(axes, panels, strict=True):
        counts = list(figures[which])
        for name in figures[which][counts[0]]:
            scale = 1e-3 if which == "callbacks" else 1
            axis.plot(counts, [figures[which][n][name] * scale for n in counts], "o-", label=name)
        axis.set(xlabel=by, ylabel=cost, xscale="log" if logarithmic else "linear")
        axis.set_ylim(0, axis.get_ylim()[1] * 1.3)  # room for the legend
        axis.grid(alpha=0.3)
        axis.legend(loc="upper left")
    figure.savefig(path, dpi=120)
    print(f"plotted to {path}")


def main():
    """Measure, print, write and plot."""
    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    began = perf_counter()
    figures = {"epochs": by_epochs(), "samples": by_samples(), "callbacks": by_callbacks()}
    for which, title in (
        ("epochs", "a step by epochs, microseconds (goal: flat)"),
        ("samples", "a step by samples, microseconds (goal: flat)"),
        ("callbacks", "a pair of batch events by active callbacks, nanoseconds (goal: linear)"),
    ):
        names = list(next(iter(figures[which].values())))
        rows = [(f"{count:,}", *values.values()) for count, values in figures[which].items()]
        show(title, [which, *names], rows)
    lines = slopes(figures["callbacks"])
    for name, line in lines.items():
        print(f"{name}: {line['slope']:.0f} ns a callback, at most {line['residual']:.0%} off the line")
    print(f"slope of onstage / plain loop: {lines['onstage']['slope'] / lines['plain loop']['slope']:.2f}")
    write("scale", {**figures, "lines": lines, "seconds": perf_counter() - began})
    plot(figures, Path(sys.argv[1] if len(sys.argv) > 1 else "runs/benchmarks") / "scale.png")


if __name__ == "__main__":
    main()
