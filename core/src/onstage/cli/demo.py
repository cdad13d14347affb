"""``onstage demo``: a short training that prints its stages."""

from __future__ import annotations

from typing import Any

import click
import numpy as np

import onstage
from onstage import Callback, Logs
from onstage.cli.output import echo
from onstage.model import Array


class Narrator(Callback):
    """Print the stages of the first epoch, then one line per epoch.

    An ordinary callback: its methods are named after stages and name only the
    arguments that they use.
    """

    def on_train_begin(self) -> None:
        """Print the number of epochs and batches."""
        echo(f"on_train_begin          {self.params['epochs']} epochs of {self.params['steps']} batches")

    def on_epoch_begin(self, epoch: int) -> None:
        """Print the first epoch."""
        if epoch == 0:
            echo("  on_epoch_begin 0")

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Print the first two batches."""
        if self._first_epoch() and batch < 2:
            echo(f"    on_train_batch_end {batch}  {_format(logs)}")
        elif self._first_epoch() and batch == 2:
            echo("    ...")

    def on_test_end(self, logs: Logs) -> None:
        """Print the first validation."""
        if self._first_epoch():
            echo(f"    on_test_end           {_format(logs)}")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Print the metrics of the epoch."""
        echo(f"  on_epoch_end {epoch:<10} {_format(logs)}")

    def on_train_end(self) -> None:
        """Print why training ended."""
        reason = self.run.stop_reason if self.run is not None else None
        end = f"{self.run.stopped_by}: {reason}" if self.run is not None and reason else "all epochs done"
        echo(f"on_train_end            {end}")

    def _first_epoch(self) -> bool:
        return self.run is not None and self.run.epoch == 0


class StopWhenGood(Callback):
    """Stop training when the validation accuracy reaches a value."""

    def __init__(self, accuracy: float) -> None:
        self.accuracy = accuracy

    def on_epoch_end(self, logs: Logs) -> None:
        """Stop if the accuracy is reached."""
        if logs["val_accuracy"] >= self.accuracy:
            self.stop(f"val_accuracy reached {self.accuracy}")


@click.command()
@click.option("--epochs", type=click.IntRange(min=1), default=30, show_default=True, help="Maximum.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def demo(epochs: int, seed: int) -> None:
    """Train a small network on two spirals of points and print the stages."""
    x, y = spirals(np.random.default_rng(seed))
    model: Any = onstage.Sequential(
        [
            onstage.layers.Input((2,)),
            onstage.layers.Dense(32, activation="tanh"),
            onstage.layers.Dense(32, activation="tanh"),
            onstage.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=onstage.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    history = model.fit(
        x,
        y,
        epochs=epochs,
        verbose=0,
        validation_split=0.25,
        seed=seed,
        callbacks=[StopWhenGood(0.97), Narrator()],
    )
    echo(f"\nValidation accuracy {history.history['val_accuracy'][-1]:.3f}, with these callbacks:")
    for one in history.plugins:
        source = f"  ({one['distribution']} {one['version']})" if one["distribution"] else ""
        echo(f"  {one['name']}{source}")


def spirals(rng: np.random.Generator, n: int = 1200) -> tuple[Array, Array]:
    """Sample points of two spirals that wind around each other.

    Returns
    -------
    tuple
        Points of shape ``(n, 2)``, float32; labels 0 or 1 of shape ``(n,)``.
    """
    labels = rng.integers(0, 2, n)
    turn = np.sqrt(rng.uniform(0.05, 1, n)) * 1.5 * np.pi
    angle = turn + labels * np.pi
    points = np.stack([turn * np.cos(angle), turn * np.sin(angle)], axis=1) / (1.5 * np.pi)
    return (points + rng.normal(0, 0.03, points.shape)).astype(np.float32), labels


def _format(logs: Logs) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in logs.items())
