"""Progbar: Keras's progress bar, for a loop of one's own."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

from onstage.reporting import format_duration, print_line


class Progbar:
    """A progress bar with the means of metrics.

    Printed to stdout: in a terminal the line is drawn again at each update,
    elsewhere it is printed once, when the target is reached.

    Parameters
    ----------
    target
        Number of steps, None if unknown.
    width
        Characters of the bar.
    verbose
        0: silent; 1: a bar; 2: a line at the end.
    interval
        Seconds between two drawings.
    stateful_metrics
        Names of metrics to show as they are, not as means over the steps.
    unit_name
        Name of a step.

    Examples
    --------
    >>> bar = Progbar(2, verbose=2)
    >>> bar.add(1, [("loss", 1.0)])
    >>> bar.add(1, [("loss", 0.5)])  # doctest: +ELLIPSIS
    2/2 - .../step - loss: 0.7500
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self.stateful_metrics = set(stateful_metrics or ())
        self._sums: dict[str, tuple[float, int]] = {}
        self._steps = 0
        self._start = time.monotonic()
        self._drawn_at = float("-inf")

    def add(self, n: int, values: Iterable[tuple[str, float]] | None = None) -> None:
        """Advance by `n` steps, with values as in `update`."""
        self.update(self._steps + n, values)

    def update(
        self, current: int, values: Iterable[tuple[str, float]] | None = None, finalize: bool | None = None
    ) -> None:
        """Set the number of steps done, and draw.

        Parameters
        ----------
        values
            Pairs of name and value, each the mean over the steps since the last
            update; the bar shows the mean over all steps.
        finalize
            Whether this is the last update; None: if the target is reached.
        """
        last = self.target is not None and current >= self.target if finalize is None else finalize
        steps = max(current - self._steps, 1)
        for name, value in values or ():
            total, count = (0.0, 0) if name in self.stateful_metrics else self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + float(value) * steps, count + steps)
        self._steps = current
        self._draw(last)

    def _draw(self, last: bool) -> None:
        redraws = self.verbose == 1 and sys.stdout.isatty()
        now = time.monotonic()
        if not self.verbose or not (last or redraws) or (not last and now - self._drawn_at < self.interval):
            return
        self._drawn_at = now
        start = "\r" if redraws else ""
        print_line(f"{start}{self._line(now - self._start)}", end="\n" if last else "")

    def _line(self, seconds: float) -> str:
        done = f"{self._steps}/{self.target or 'Unknown'}"
        if self.verbose == 1 and self.target:
            full = min(self.width * self._steps // self.target, self.width)
            done += f" [{'=' * full}{'.' * (self.width - full)}]"
        each = f"{format_duration(seconds / max(self._steps, 1))}/{self.unit_name}"
        metrics = (f"{name}: {_short(total / count)}" for name, (total, count) in self._sums.items())
        return " - ".join([done, each, *metrics])


def _short(value: float) -> str:
    return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"
