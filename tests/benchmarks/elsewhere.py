"""Work beside the common networks: text, memory, single predictions, files, callbacks.

``python tests/benchmarks/elsewhere.py [FOLDER [ROW…]]`` measures the peers that are installed:
``torch``, ``scikit-learn``, ``safetensors``. The goal is in the table. Each row is a process of its
own, in which the contestants take turns; figures are the lower quartile of processor time, which
other programs on the machine disturb least. To use one core, put
``OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 taskset -c 0`` before it.
"""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from typing import Any

from elsewhere_rows import ROWS, Row
from harness import machine, show, write


def measure(title: str) -> dict[str, float]:
    """Return the milliseconds, or megabytes, of each contestant of a row, in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, "--row", title]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        print(f"{title} failed: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return {}
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def describe(title: str, row: Row, figures: dict[str, float]) -> list[Any]:
    """Return the cells of a row: onstage, the best peer, their ratio, and the goal."""
    own = figures.get("onstage", math.nan)
    peers = {name: value for name, value in figures.items() if name != "onstage"}
    best = min(peers, key=lambda name: peers[name], default="none")
    ratio = f"{own / peers[best]:.2f}" if peers else "-"
    return [title, own, best, peers.get(best, "-"), ratio, row.goal]


def main() -> None:
    """Measure one row for the parent process, or show the table."""
    if sys.argv[1:2] == ["--row"]:
        print(json.dumps(ROWS[sys.argv[2]].measure()))
        return
    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    chosen = [each for each in ROWS if not sys.argv[2:] or any(part in each for part in sys.argv[2:])]
    if missing := [
        name for name in ("torch", "sklearn", "safetensors") if not importlib.util.find_spec(name)
    ]:
        print("without:", *missing)
    figures = {}
    for title in chosen:
        figures[title] = measure(title)
        print(title, figures[title], flush=True)
    columns = ["work", "onstage", "best peer", "its figure", "ratio", "goal"]
    table = [describe(title, ROWS[title], figures[title]) for title in chosen]
    show("milliseconds of processor time, or MB", columns, table)
    write("elsewhere", figures)


if __name__ == "__main__":
    main()
