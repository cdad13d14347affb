"""Measure callbacks: a table of costs at the end, or a line for every call.

Both wrap the bound methods of callbacks when a stage is compiled; a run without
them has no overhead.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from time import perf_counter
from typing import Any, TextIO

from onstage.reporting._formatting import format_duration, format_table
from onstage.reporting._output import print_line

Method = Callable[..., Any]


@dataclass
class Cost:
    """Calls and time of one callback in one stage."""

    calls: int = 0
    seconds: float = 0.0


class Profile:
    """Count and time the calls of each callback, by stage.

    The clock starts with the constructor. Time that a callback spends in stages
    of others (if it calls ``model.evaluate``, for example) counts for both.

    Attributes
    ----------
    costs
        `Cost` by ``(callback, stage)``, in the order of the first call.
    """

    def __init__(self) -> None:
        self.costs: dict[tuple[str, str], Cost] = {}
        self._began = perf_counter()

    def wrap(self, stage: str, callback: str, method: Method) -> Method:
        """Return the method with timing."""

        @wraps(method)
        def timed(*args: Any, **kwargs: Any) -> Any:
            cost = self.costs.setdefault((callback, stage), Cost())
            began = perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                cost.seconds += perf_counter() - began
                cost.calls += 1

        return timed

    def table(self, seconds: float | None = None) -> str:
        """Return a table of the costs, highest first.

        Parameters
        ----------
        seconds
            Duration of the run, for the shares; None means until now.
        """
        whole = perf_counter() - self._began if seconds is None else seconds
        ranked = sorted(self.costs.items(), key=lambda item: -item[1].seconds)
        total = Cost(sum(cost.calls for _, cost in ranked), sum(cost.seconds for _, cost in ranked))
        rows = [_row(callback, stage, cost, whole) for (callback, stage), cost in ranked]
        header = ("callback", "stage", "calls", "total", "mean", "share")
        text = format_table(header, [*rows, _row("all", "", total, whole)], right=(2, 3, 4, 5))
        return f"{text}\nrun: {format_duration(whole)}"


def _row(callback: str, stage: str, cost: Cost, whole: float) -> tuple[str, ...]:
    mean = format_duration(cost.seconds / cost.calls) if cost.calls else "-"
    share = f"{cost.seconds / whole:.1%}" if whole > 0 else "-"
    return callback, stage, str(cost.calls), format_duration(cost.seconds), mean, share


class Trace:
    """Print a line for every call of a callback: stage, callback, time.

    Arguments are not printed: logs and arrays may be large or private.

    Parameters
    ----------
    file
        None means ``sys.stderr`` at the time of the call.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file

    def wrap(self, stage: str, callback: str, method: Method) -> Method:
        """Return the method with a printed line after each call."""

        @wraps(method)
        def traced(*args: Any, **kwargs: Any) -> Any:
            began = perf_counter()
            ended = ""
            try:
                return method(*args, **kwargs)
            except BaseException as error:
                ended = f"  raised {type(error).__name__}"
                raise
            finally:
                took = (perf_counter() - began) * 1e3
                line = f"onstage: {stage:<22} {callback:<28} {took:9.3f} ms{ended}"
                print_line(line, self._file or sys.stderr)

        return traced
