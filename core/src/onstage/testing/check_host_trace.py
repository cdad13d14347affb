"""Checks of an adapter's stages: their order, numbers and logs."""

from __future__ import annotations

import math

from onstage.callbacks._base import Callback
from onstage.testing.check_host_training import HostTraining, MakeTraining, assert_trace, golden_trace
from onstage.testing.recorder import Recorder


def _trace(recorder: Recorder) -> list[tuple[str, int | None]]:
    return [(event.stage, event.number) for event in recorder.trace]


def check_golden_trace(make: MakeTraining) -> None:
    """Check the stages of two epochs and their numbers."""
    recorder = Recorder()
    training = make([recorder], epochs=2)
    training.run()
    assert_trace(_trace(recorder), golden_trace(training, [training.batches or 0] * 2))


def check_trains_twice(make: MakeTraining) -> None:
    """Check that a second training with the same adapter begins anew."""
    recorder = Recorder()
    training = make([recorder], epochs=1)
    training.run()
    training.run()
    once = golden_trace(training, [training.batches or 0])
    assert_trace(_trace(recorder), once + once)


def check_logs(make: MakeTraining) -> None:
    """Check that the logs hold numbers under onstage's names, and the History those of the epochs."""
    recorder = Recorder()
    training = make([recorder], epochs=2)
    training.run()
    epochs = []
    for event, logs in zip(recorder.trace, recorder.logs, strict=True):
        if event.stage == "on_epoch_end":
            epochs.append(logs)
            _check_epoch(training, logs)
        if event.stage == "on_train_batch_end" and not isinstance(logs.get("loss"), float):
            raise AssertionError(f"logs of on_train_batch_end must have the loss as a float, got {logs}")
    history = training.adapter.history
    got = None if history is None else history.history
    wanted = {name: [logs[name] for logs in epochs] for name in epochs[0]}
    if got != wanted:
        raise AssertionError(f"adapter.history must hold {wanted}, got {got}")


def _check_epoch(training: HostTraining, logs: dict[str, object]) -> None:
    for name, value in logs.items():
        if not isinstance(value, float) or not math.isfinite(value):
            raise AssertionError(f"{name} of on_epoch_end must be a finite float, got {value!r}")
        if not name.isidentifier() or name.startswith(("train_", "valid_", "eval_")):
            raise AssertionError(f"{name!r} must be a name as of onstage.hosts.log_name")
    if training.validates and not any(name.startswith("val_") for name in logs):
        raise AssertionError(f"logs of on_epoch_end must have the validation as val_…, got {sorted(logs)}")


class _Params(Callback):
    def on_train_begin(self) -> None:
        self.seen = dict(self.params)


def check_params(make: MakeTraining) -> None:
    """Check that ``params`` tells the epochs, and the batches of an epoch if it tells them."""
    callback = _Params()
    training = make([callback], epochs=2)
    training.run()
    if callback.seen["epochs"] != 2:
        raise AssertionError(f"params must have epochs 2, got {callback.seen}")
    if callback.seen["steps"] not in (None, training.batches):
        raise AssertionError(f"params must have steps {training.batches} or None, got {callback.seen}")


TRACE_CHECKS = (check_golden_trace, check_trains_twice, check_logs, check_params)
