"""Recorder: a callback that records every stage of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from onstage.callbacks._base import Callback
from onstage.hookspecs import STAGES
from onstage.logs import Logs


class Event(NamedTuple):
    """One stage, as a callback saw it."""

    stage: str
    number: int | None
    """The epoch or batch; None if the stage has neither."""
    keys: tuple[str, ...]
    """The sorted names in logs; in on_exception the name of the exception's class."""


class Recorder(Callback):
    """Records every stage except on_optimizer_step_begin, over all its runs.

    Attributes
    ----------
    trace
        The `Event` of each stage, in order; events equal plain tuples.
    logs
        A copy of the logs of each event, in the same order; ``{}`` if it has none.

    Examples
    --------
    >>> from onstage.testing import replay
    >>> recorder = Recorder()
    >>> run = replay(recorder, [{"loss": 0.5}])
    >>> recorder.trace[1]
    Event(stage='on_epoch_begin', number=0, keys=())
    """

    optional = ("batches",)

    def __init__(self) -> None:
        self.trace: list[Event] = []
        self.logs: list[Logs] = []

    @property
    def stages(self) -> list[str]:
        """The names of the stages, in order."""
        return [event.stage for event in self.trace]


def _recording(stage: str) -> Callable[..., None]:
    def record(
        self: Recorder,
        epoch: int | None = None,
        batch: int | None = None,
        logs: Logs | None = None,
        exception: BaseException | None = None,
    ) -> None:
        seen = dict(logs or {})
        keys = tuple(sorted(seen)) if exception is None else (type(exception).__name__,)
        self.trace.append(Event(stage, epoch if batch is None else batch, keys))
        self.logs.append(seen)

    record.__name__ = stage
    record.__qualname__ = f"Recorder.{stage}"
    record.__doc__ = f"Record {stage}."
    return record


def _record_all(kind: Any) -> None:
    for stage in STAGES:
        # It would require a model that has gradients.
        if stage == "on_optimizer_step_begin":
            continue
        setattr(kind, stage, _recording(stage))


_record_all(Recorder)
