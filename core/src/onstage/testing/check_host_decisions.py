"""Checks of an adapter's decisions: stop, learning rate, weights, files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from onstage.callbacks._base import Callback
from onstage.model import Array
from onstage.testing.check_host_training import MakeTraining, assert_trace, golden_trace
from onstage.testing.recorder import Recorder


class _StopAfterEpoch(Callback):
    def on_epoch_end(self, epoch: int) -> None:
        if epoch == 1:
            self.stop("enough epochs")


class _StopInEpoch(Callback):
    def on_train_batch_end(self, batch: int) -> None:
        if self.run is not None and (self.run.epoch, batch) == (1, 0):
            self.stop("enough batches")


def check_stops_after_an_epoch(make: MakeTraining) -> None:
    """Check that a stop in on_epoch_end ends the training there, with its reason in the History."""
    _check_stop(make, _StopAfterEpoch(), "enough epochs", batches_of_last_epoch=None)


def check_stops_in_an_epoch(make: MakeTraining) -> None:
    """Check that a stop in on_train_batch_end leaves out the other batches, but no end stage."""
    if make([], epochs=1).batches is not None:
        _check_stop(make, _StopInEpoch(), "enough batches", batches_of_last_epoch=1)


def _check_stop(
    make: MakeTraining, callback: Callback, reason: str, batches_of_last_epoch: int | None
) -> None:
    recorder = Recorder()
    training = make([callback, recorder], epochs=4)
    training.run()
    batches = training.batches or 0
    wanted = [batches, batches if batches_of_last_epoch is None else batches_of_last_epoch]
    trace = [(event.stage, event.number) for event in recorder.trace]
    assert_trace(trace, golden_trace(training, wanted))
    history = training.adapter.history
    got = None if history is None else (history.stop_reason, history.stopped_by)
    if got != (reason, type(callback).__name__):
        raise AssertionError(f"history must have the reason {reason!r} and the callback's name, got {got}")


class _SetRate(Callback):
    needs = ("learning_rate",)

    def __init__(self) -> None:
        self.real: Any = None
        self.seen: list[float] = []

    def on_epoch_begin(self, epoch: int) -> None:
        self.model.learning_rate = 0.25 / (epoch + 1)

    def on_epoch_end(self) -> None:
        self.seen += [float(self.model.learning_rate), self.real()]


class _SetRateInBatches(_SetRate):
    def on_train_batch_begin(self, batch: int) -> None:
        epoch = 0 if self.run is None or self.run.epoch is None else self.run.epoch
        self.model.learning_rate = (0.25 if batch else 1.0) / (epoch + 1)


def check_sets_the_learning_rate(make: MakeTraining) -> None:
    """Check that a callback changes the rate of the host's optimizer, in epochs and in batches."""
    probe = make([], epochs=1)
    if probe.learning_rate is None:
        return
    for kind in (_SetRate, _SetRateInBatches)[: 1 if (probe.batches or 0) < 2 else 2]:
        callback = kind()
        training = make([callback], epochs=2)
        callback.real = training.learning_rate
        training.run()
        np.testing.assert_allclose(callback.seen, [0.25, 0.25, 0.125, 0.125], rtol=1e-6)


class _RestoreFirst(Callback):
    needs = ("get_weights", "set_weights")
    kept: list[Array]

    def on_epoch_end(self, epoch: int) -> None:
        if epoch == 0:
            self.kept = self.model.get_weights()
        self.last = self.model.get_weights()

    def on_train_end(self) -> None:
        self.model.set_weights(self.kept)


def check_restores_weights(make: MakeTraining) -> None:
    """Check that the host ends with the weights that a callback sets in on_train_end."""
    callback = _RestoreFirst()
    training = make([callback], epochs=2)
    if training.weights is None:
        return
    training.run()
    if all(np.array_equal(kept, last) for kept, last in zip(callback.kept, callback.last, strict=True)):
        raise AssertionError("get_weights must return copies that differ from epoch to epoch")
    for kept, real in zip(callback.kept, training.weights(), strict=True):
        np.testing.assert_array_equal(
            real, kept, err_msg="the host's weights after set_weights in on_train_end"
        )


class _ValidateWithZeros(Callback):
    needs = ("get_weights", "set_weights")

    def on_test_begin(self) -> None:
        self.own = self.model.get_weights()
        self.model.set_weights([np.zeros_like(weight) for weight in self.own])

    def on_test_end(self) -> None:
        self.model.set_weights(self.own)


def check_validates_with_swapped_weights(make: MakeTraining) -> None:
    """Check that a validation uses the weights that a callback swaps in, and the training its own."""
    training = make([_ValidateWithZeros()], epochs=2)
    if training.weights is None or not (training.validates and training.swaps_weights):
        return
    training.run()
    history = {} if training.adapter.history is None else training.adapter.history.history
    first, second = history["val_loss"]
    if first != second or history["loss"][0] == history["loss"][1]:
        raise AssertionError(f"val_loss must be that of the weights 0 in both epochs, got {history}")
    if all(not weight.any() for weight in training.weights()):
        raise AssertionError("the host must train on with its own weights, got only zeros")


class _Save(Callback):
    needs = ("save",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_epoch_end(self) -> None:
        self.model.save(self.path, overwrite=True)


def check_saves(make: MakeTraining) -> None:
    """Check that ``model.save`` writes the path that it is told, and nothing else."""
    suffix = make([], epochs=1).suffix
    if suffix is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{suffix}"
        make([_Save(path)], epochs=2).run()
        found = [each.name for each in Path(folder).iterdir()]
        if found != [path.name]:
            raise AssertionError(f"model.save must write {path.name} alone, got {found}")


DECISION_CHECKS = (
    check_stops_after_an_epoch,
    check_stops_in_an_epoch,
    check_sets_the_learning_rate,
    check_restores_weights,
    check_validates_with_swapped_weights,
    check_saves,
)
