"""Shared parts of the benchmarks: interleaved medians, a table, a JSON file.

Figures are compared within one run only: the candidates take turns, so that a
slow phase of the machine affects all of them.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

Work = Callable[[], Any]


def interleaved(candidates: Mapping[str, Work], repeats: int = 15) -> dict[str, float]:
    """Return the median seconds of each candidate's call, all taking turns."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for work in candidates.values():
        work()
    for _ in range(repeats):
        for name, work in candidates.items():
            begun = perf_counter()
            work()
            times[name].append(perf_counter() - begun)
    return {name: statistics.median(taken) for name, taken in times.items()}


def machine() -> dict[str, str]:
    """Return processor, interpreter, numpy and its BLAS kernel."""
    import numpy

    facts = {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "OPENBLAS_CORETYPE": os.environ.get("OPENBLAS_CORETYPE", "not set"),
    }
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return facts
    for pool in threadpool_info():
        if pool["user_api"] == "blas":
            facts["BLAS"] = (
                f"{pool['internal_api']} {pool['version']}, {pool.get('architecture', '?')} kernel"
            )
            facts["BLAS threads"] = str(pool["num_threads"])
    return facts


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table, the first column left-aligned, the others right-aligned."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[n]) for row in [list(columns), *cells]) for n in range(len(columns))]
    print(f"\n{title}")
    for row in [list(columns), ["-" * width for width in widths], *cells]:
        first, *others = row
        print(
            "  ".join(
                [first.ljust(widths[0]), *(o.rjust(w) for o, w in zip(others, widths[1:], strict=True))]
            )
        )


def _cell(value: object) -> str:
    return (
        f"{value:.3g}"
        if isinstance(value, float) and abs(value) < 100
        else (f"{value:.0f}" if isinstance(value, float) else str(value))
    )


def write(name: str, figures: Any) -> None:
    """Write the figures to ``benchmarks/NAME.json`` in the given folder, or in ``runs``."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/benchmarks")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), "figures": figures}, indent=1) + "\n")
    print(f"\nwritten to {path}")
