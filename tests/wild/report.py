"""Count the published callbacks that each column runs: ``python tests/wild/report.py``."""

from __future__ import annotations

import os
import sys
from collections import Counter

os.environ.setdefault("KERAS_BACKEND", "torch")

from case import Case
from cases import CASES
from comparison import differences
from trainings import COLUMNS, Outcome, reference, run


def main(names: list[str]) -> None:
    """Print what is not the same for each case, or for the cases named, and the counts."""
    counts = {column: Counter() for column in COLUMNS}
    for case in CASES:
        if names and not any(name in case.name for name in names):
            continue
        expected = reference(case)
        for column in COLUMNS:
            verdict, detail = judge(column, case, expected)
            counts[column][verdict] += 1
            if verdict != "same":
                print(f"{case.name:28} {column:7} {verdict}: {detail[: None if names else 110]}")
    for column, counted in counts.items():
        print(f"{column:7}", dict(counted))


def judge(column: str, case: Case, expected: Outcome) -> tuple[str, str]:
    """Return ``"same"``, ``"refused"`` or ``"differs"``, and the reason."""
    seen = run(column, case)
    if seen.error is not None and expected.error is None:
        return "refused", repr(seen.error)
    found = differences(expected, seen, same_formula=column != "torch" or not case.torch_formula)
    return "differs" if found else "same", "; ".join(found)


if __name__ == "__main__":
    main(sys.argv[1:])
