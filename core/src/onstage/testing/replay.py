"""replay: scripted logs through a real Run, so that only the callback is tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onstage.callbacks._history import History
from onstage.run._session import Run
from onstage.testing.fake_model import FakeModel
from onstage.testing.recorder import Event, Recorder

_ROW = np.ones((1, 2), np.float32)
_BATCH = (_ROW, np.ones((1, 1), np.float32), None)


@dataclass(frozen=True)
class Replay:
    """What came of a replay."""

    epochs_run: int
    stopped: bool
    """Whether somebody asked for the end."""
    stop_reason: str | None
    stopped_by: str | None
    """The callback that asked."""
    history: History
    model: Any
    trace: list[Event]
    """Every stage, as a callback behind the one under test saw it."""
    run: Run


def replay(
    callback: object,
    logs: Sequence[Mapping[str, Any]],
    *,
    model: Any = None,
    batches: int | Sequence[Mapping[str, Any]] = 1,
    initial_epoch: int = 0,
    verbose: int | str = 0,
    params: Mapping[str, Any] | None = None,
) -> Replay:
    """Run callbacks through epochs whose logs are given.

    Parameters
    ----------
    callback
        One or several, in any form that ``callbacks=`` takes.
    logs
        What on_epoch_end gets, one for each epoch. Names that begin with
        ``val_`` make a validation in that epoch, and its test stages.
    model
        None makes a `FakeModel`. One with a ``train_step`` (a FakeModel) makes
        a step on each batch, so that its weights change.
    batches
        How many training batches an epoch has, each with the epoch's own
        training values as its logs; or the values of each batch.
    initial_epoch
        The number of the first epoch.
    verbose
        As in ``fit``; above 0 it brings the progress bar along.
    params
        Replaces entries of ``run.params``.

    Returns
    -------
    Replay
        How many epochs ran, whether and why it was stopped, model, history,
        trace.

    Examples
    --------
    >>> from onstage import Callback
    >>> class StopBelow(Callback):
    ...     def on_epoch_end(self, logs):
    ...         if logs["loss"] < 0.3:
    ...             self.stop("low enough")
    >>> replay(StopBelow(), [{"loss": 0.5}, {"loss": 0.2}, {"loss": 0.1}]).epochs_run
    2
    """
    model = FakeModel() if model is None else model
    recorder = Recorder()
    per_epoch = batches if isinstance(batches, int) else len(batches)
    run = Run(
        model,
        [callback, recorder],
        epochs=initial_epoch + len(logs),
        initial_epoch=initial_epoch,
        steps=per_epoch,
        batch_size=1,
        samples=per_epoch,
        verbose=verbose,
    )
    run.params.update(params or {})
    with run:
        for epoch in run.epochs():
            _epoch(run, logs[epoch - initial_epoch], batches)
    return Replay(
        epochs_run=len(run.history.epoch),
        stopped=run.stop_reason is not None,
        stop_reason=run.stop_reason,
        stopped_by=run.stopped_by,
        history=run.history,
        model=model,
        trace=recorder.trace,
        run=run,
    )


def _epoch(run: Run, logs: Mapping[str, Any], batches: int | Sequence[Mapping[str, Any]]) -> None:
    of_training = {name: value for name, value in logs.items() if not name.startswith("val_")}
    script = [of_training] * batches if isinstance(batches, int) else batches
    for n, _ in enumerate(run.batches([_BATCH] * len(script))):
        run.log(script[n], samples=1)
        _step(run.model)
    validation = {name.removeprefix("val_"): logs[name] for name in logs if name.startswith("val_")}
    if validation:
        for _ in run.test_batches([_BATCH]):
            run.log(validation, samples=1)
    run.log(logs)  # to the digit, whatever the batches were


def _step(model: Any) -> None:
    if hasattr(model, "train_step"):
        model.train_step(_BATCH, model.new_accumulator())
