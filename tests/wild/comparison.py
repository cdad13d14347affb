"""Differences between two trainings: rates, history, text, files and what the callbacks keep."""

from __future__ import annotations

import math
import re
from typing import Any

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def differences(expected: Any, seen: Any, *, same_formula: bool = True) -> list[str]:
    """Return a line for each part of two outcomes that differs."""
    parts = ["rates", "epochs", "kept", "files"]
    if same_formula:
        parts += ["batches", "history", "weights"]
    found = [
        f"{part}: {getattr(seen, part)!r} in place of {getattr(expected, part)!r}"
        for part in parts
        if not equal(getattr(expected, part), getattr(seen, part))
    ]
    if same_formula and not same_text(expected.printed, seen.printed):
        found.append(f"printed: {seen.printed!r} in place of {expected.printed!r}")
    return found


def equal(expected: Any, seen: Any) -> bool:
    """Return whether two trees are equal, numbers to 1e-5 (relative, or 1e-6)."""
    if isinstance(expected, dict):
        return (
            isinstance(seen, dict)
            and set(expected) == set(seen)
            and all(equal(value, seen[name]) for name, value in expected.items())
        )
    if isinstance(expected, (list, tuple)):
        return len(expected) == len(seen) and all(map(equal, expected, seen))
    if isinstance(expected, str):
        return isinstance(seen, str) and same_text(expected, seen)
    if expected is None or seen is None:
        return expected is seen
    expected, seen = float(expected), float(seen)
    return (
        expected == seen
        or math.isclose(expected, seen, rel_tol=1e-5, abs_tol=2e-6)
        or (math.isnan(expected) and math.isnan(seen))
    )


def same_text(expected: str, seen: str) -> bool:
    """Return whether two texts have the same words, and numbers that are equal as far as they go."""
    if _NUMBER.sub("#", expected).split() != _NUMBER.sub("#", seen).split():
        return False
    numbers = zip(_NUMBER.findall(expected), _NUMBER.findall(seen), strict=True)
    return all(_near(*pair) for pair in numbers)


def _near(expected: str, seen: str) -> bool:
    decimals = max(len(each.partition("e")[0].partition(".")[2]) for each in (expected, seen))
    last_digit = 1.01 * 10.0 ** -min(decimals, 7) if decimals else 0.0
    return math.isclose(float(expected), float(seen), rel_tol=1e-5, abs_tol=last_digit)
