"""Compare random trainings with Keras until interrupted.

``python tests/differential/beside_keras.py [first_seed]``.

Prints each seed whose numbers differ, and what differs. A seed is run again, alone,
with ``python tests/differential/beside_keras.py 123 1``: first seed, and how many.
"""

from __future__ import annotations

import itertools
import sys
import traceback

import homes
from programs import program
from training import differences, run


def compare(seed: int) -> list[str]:
    """Run a seed's program with both libraries; return the differences."""
    made = program(seed)
    with homes.float64():
        theirs = run(made, homes.keras())
    return differences(run(made, homes.onstage()), theirs)


def main(first: int = 0, count: int | None = None) -> None:
    """Compare seed after seed."""
    seeds = itertools.count(first) if count is None else range(first, first + count)
    failed = 0
    for done, seed in enumerate(seeds, 1):
        try:
            found = compare(seed)
        except Exception:
            found = [traceback.format_exc()]
        if found:
            failed += 1
            print(f"seed {seed}:", *found, sep="\n    ", flush=True)
            if count == 1:
                print(program(seed))
        if done % 100 == 0 or done == count:
            print(f"{done} models, {failed} differ", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
