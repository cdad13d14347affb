"""TimeLimit: stop before an epoch that would not end in time."""

from __future__ import annotations

from datetime import datetime, timedelta
from time import monotonic
from typing import ClassVar

from onstage import Callback, Logs
from onstage.model import State
from onstage.reporting import format_duration
from onstage.validation import validate_bool, validate_float, validate_optional_float, validate_state

__all__ = ["TimeLimit"]


class TimeLimit(Callback):
    """Stop before an epoch that would not end in time.

    The next epoch is expected to take as long as the longest of the last five,
    validation and callbacks included.

    Parameters
    ----------
    seconds
        Time for the training, > 0. A resumed training includes the time before
        the interruption. None for no such limit.
    until
        When the training must have ended: a `datetime`, or an ISO 8601 string
        such as ``"2030-01-31T08:00"`` (local time, unless it has an offset), or
        ``"08:00"``, the next time that the clock shows it. None for no such limit.
    margin
        Seconds that must be left at the end, >= 0.
    log_eta
        Whether to add ``eta`` to the logs of each epoch: the expected seconds
        until the end of the training, of all its epochs.

    Attributes
    ----------
    spent
        Seconds of training up to the end of the last epoch.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid, or both limits are None.

    Examples
    --------
    >>> from onstage.testing import replay
    >>> replay(TimeLimit(1e-9), [{"loss": 1.0}] * 3).epochs_run
    1
    """

    adds_logs: ClassVar[tuple[str, ...] | None] = ("eta",)

    def __init__(
        self,
        seconds: float | None = None,
        until: datetime | str | None = None,
        *,
        margin: float = 0.0,
        log_eta: bool = False,
    ) -> None:
        if seconds is None and until is None:
            raise ValueError("seconds or until must be given, got None for both")
        self.seconds = validate_optional_float("seconds", seconds, 0.0, exclude=(0.0,))
        self.until = until
        self._end_of(until, datetime.now())
        self.margin = validate_float("margin", margin, 0.0)
        self.log_eta = validate_bool("log_eta", log_eta)
        self.spent = 0.0
        self._durations: list[float] = []
        self._start = self._began = self._restored = 0.0
        self._deadline: float | None = None

    @staticmethod
    def _end_of(until: datetime | str | None, now: datetime) -> float | None:
        """Return the seconds from `now` until the end."""
        if until is None:
            return None
        if isinstance(until, str):
            try:
                until = _parse(until, now)
            except ValueError as error:
                raise ValueError(
                    f"until must be an ISO 8601 date and time such as '2030-01-31T08:00', or a time such as "
                    f"'08:00', got {until!r}"
                ) from error
        if not isinstance(until, datetime):
            raise TypeError(f"until must be a datetime or a string, got {until!r}")
        return (until - (now if until.tzinfo is None else now.astimezone())).total_seconds()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start the clock of the training."""
        self.spent = self._restored = 0.0
        self._durations = []
        self._start = self._began = monotonic()
        left = self._end_of(self.until, datetime.now())
        self._deadline = None if left is None else self._start + left

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Start the clock of the epoch."""
        self._began = monotonic()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Stop if another epoch would end too late."""
        now = monotonic()
        self.spent = self._restored + now - self._start
        self._durations = [*self._durations[-4:], now - self._began]
        longest, left = max(self._durations), self._left(now)
        if self.log_eta and logs is not None:
            remaining = max(0, (self.params.get("epochs") or 0) - epoch - 1)
            logs["eta"] = remaining * sum(self._durations) / len(self._durations)
        if longest + self.margin > left:
            self.stop(
                f"{format_duration(max(0.0, left))} left, and an epoch takes {format_duration(longest)}"
                + (f" with a margin of {format_duration(self.margin)}" if self.margin else "")
            )

    def _left(self, now: float) -> float:
        limits = [] if self.seconds is None else [self.seconds - self.spent]
        limits += [] if self._deadline is None else [self._deadline - now]
        return min(limits)

    def state_dict(self) -> State:
        """Return the time spent so far, and the durations of the last epochs."""
        return {"spent": self.spent, "durations": list(self._durations)}

    def load_state_dict(self, state: State) -> None:
        """Continue from a `state_dict`; raise StateError if it is invalid."""
        spent, durations = validate_state(state, spent=float, durations=list)
        self.spent = self._restored = spent
        self._durations = [float(each) for each in durations]


def _parse(text: str, now: datetime) -> datetime:
    if len(text) <= len("08:00:00"):
        clock = datetime.strptime(text, "%H:%M" if len(text) <= len("08:00") else "%H:%M:%S").time()
        end = datetime.combine(now.date(), clock)
        return end if end > now else end + timedelta(days=1)
    return datetime.fromisoformat(text)
