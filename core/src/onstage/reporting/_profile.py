"""What each callback costs: a table at the end, or a line for every call.

Both wrap the bound methods of callbacks, one by one, when a stage is compiled;
a run without them pays nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from time import perf_counter
from typing import Any, TextIO

from onstage.reporting._formatting import format_duration, format_table

Method = Callable[..., Any]


@dataclass
class Cost:
    """What one callback's method for one stage has cost so far."""

    calls: int = 0
    seconds: float = 0.0


class Profile:
    """Counts and times the calls of each callback, stage by stage.

    Its clock starts when it is made. Time that a callback spends in another
    callback's stage (it calls ``model.evaluate``, say) counts for both.

    Attributes
    ----------
    costs
        ``(callback, stage)`` to its `Cost`, in the order of the first call.
    """

    def __init__(self) -> None:
        self.costs: dict[tuple[str, str], Cost] = {}
        self._began = perf_counter()

    def wrap(self, stage: str, callback: str, method: Method) -> Method:
        """Give a method that does the same and is timed."""

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
        """Write the costs, dearest first.

        Parameters
        ----------
        seconds
            How long the run took, for the shares; None: until now.
        """
        whole = perf_counter() - self._began if seconds is None else seconds
        dearest = sorted(self.costs.items(), key=lambda item: -item[1].seconds)
        rows = [
            (
                callback,
                stage,
                str(cost.calls),
                format_duration(cost.seconds),
                _mean(cost),
                _share(cost.seconds, whole),
            )
            for (callback, stage), cost in dearest
        ]
        total = Cost(sum(cost.calls for _, cost in dearest), sum(cost.seconds for _, cost in dearest))
        total_row = (
            "all",
            "",
            str(total.calls),
            format_duration(total.seconds),
            _mean(total),
            _share(total.seconds, whole),
        )
        header = ("callback", "stage", "calls", "total", "mean", "share")
        return (
            f"{format_table(header, [*rows, total_row], right=(2, 3, 4, 5))}\nrun: {format_duration(whole)}"
        )


def _mean(cost: Cost) -> str:
    return format_duration(cost.seconds / cost.calls) if cost.calls else "-"


def _share(seconds: float, whole: float) -> str:
    return f"{seconds / whole:.1%}" if whole > 0 else "-"


class Trace:
    """Prints a line for every call of a callback: stage, callback, time.

    Never an argument: logs and arrays may be large, or private.

    Parameters
    ----------
    file
        None: ``sys.stderr`` as it is at the time of the call.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file

    def wrap(self, stage: str, callback: str, method: Method) -> Method:
        """Give a method that does the same and reports it."""

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
                print(line, file=self._file or sys.stderr)

        return traced
