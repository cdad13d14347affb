"""replay: run a callback through scripted logs on a real Run."""

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
    """Result of a replay."""

    epochs_run: int
    stopped: bool
    """Whether a callback stopped the run."""
    stop_reason: str | None
    stopped_by: str | None
    """Name of the callback that stopped the run, or None."""
    history: History
    model: Any
    trace: list[Event]
    """Every stage, as seen by a callback after the one under test."""
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
    """Run callbacks through epochs with scripted logs.

    Parameters
    ----------
    callback
        One or several callbacks, in any form that ``callbacks=`` accepts.
    logs
        The logs of on_epoch_end, one for each epoch. Names that begin with
        ``val_`` cause a validation in that epoch, with its test stages.
    model
        The model; None makes a `FakeModel`. If it has a ``train_step``, it takes
        a step on each batch, so that its weights change.
    batches
        Number of training batches in an epoch, each with the epoch's training
        values as its logs; or the values of each batch.
    initial_epoch
        Number of the first epoch.
    verbose
        As in ``fit``; above 0 it adds the progress bar.
    params
        Entries that replace those of ``run.params``.

    Returns
    -------
    Replay
        Epochs run, whether and why the run was stopped, model, history, trace.

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
    run.log(logs)  # exactly as scripted, whatever the batches were


def _step(model: Any) -> None:
    if hasattr(model, "train_step"):
        model.train_step(_BATCH, model.new_accumulator())
