"""How far a training is: the steps of a loop over batches, and the time that remains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from onstage import Logs


class Loop:
    """A loop over batches, and the time that its steps take.

    Parameters
    ----------
    total
        Number of steps, None if unknown.
    now
        Time in seconds at which the loop begins.

    Attributes
    ----------
    first, done
        Steps done before this run, by the one that it resumes, and until now.
    last
        Time of the end of the last step.
    logs
        Metrics after the last step.
    """

    __slots__ = ("_since", "_worked", "began", "done", "first", "last", "logs", "total")

    def __init__(self, total: int | None, now: float) -> None:
        self.total = total
        self.done = self.first = 0
        self.began = self.last = self._since = now
        self._worked = 0.0
        self.logs: Logs | None = None

    def pause(self) -> None:
        """Leave the time from the last step on out of the time per step."""
        self._worked += self.last - self._since
        self._since = self.last

    def resume(self, now: float) -> None:
        """Count the time again."""
        self._since = self.last = now

    @property
    def worked(self) -> float:
        """Time that the steps have taken, in seconds."""
        return self._worked + self.last - self._since

    @property
    def pace(self) -> float | None:
        """Seconds per step, None before the first."""
        steps = self.done - self.first
        return self.worked / steps if steps else None

    @property
    def left(self) -> float | None:
        """Seconds until the last step, None if unknown."""
        pace = self.pace
        return None if pace is None or self.total is None else max(self.total - self.done, 0) * pace


@dataclass
class Progress:
    """The state that a display shows.

    Attributes
    ----------
    title
        Such as ``"Epoch 2/10"``.
    epoch
        Number of the epoch, from 0; None in an evaluation or a prediction.
    done, total
        Steps of the loop in progress; total is None if unknown.
    validates
        Whether that loop is the validation of an epoch.
    metrics
        Their names and values.
    seconds
        Time since the epoch, or the loop, began.
    pace
        Seconds per step, without validation.
    left, left_in_all
        Seconds until the end of the epoch, and of the training.
    notes
        Words of the callbacks about their state.
    """

    title: str
    epoch: int | None
    done: int
    total: int | None
    validates: bool = False
    metrics: Logs = field(default_factory=dict)
    seconds: float = 0.0
    pace: float | None = None
    left: float | None = None
    left_in_all: float | None = None
    notes: Sequence[str] = ()

    @property
    def count(self) -> str:
        """The steps as text: ``"12/1000"``, ``"validation 12/50"``; as wide as at the last step."""
        total = "?" if self.total is None else str(self.total)
        return f"{'validation ' if self.validates else ''}{self.done:>{len(total)}}/{total}"

    @property
    def share(self) -> float | None:
        """Part of the steps that are done, in [0, 1]; None if unknown."""
        return min(self.done / self.total, 1.0) if self.total else None

    @property
    def stop(self) -> str:
        """Where a loop ended before its last step, ``"stopped at step 3/8"``; else empty."""
        return f"stopped at step {self.count.strip()}" if self.total and self.done < self.total else ""
