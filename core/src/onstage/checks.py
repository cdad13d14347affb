"""Checks of constructor arguments: *name must be what, got value*."""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Integral, Real


def number(
    name: str,
    value: object,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    exclude: Collection[float] = (),
) -> float:
    """Give a number as a Python float.

    Parameters
    ----------
    low, high
        The range, ends included. A NaN or an infinite value is never in it.
    exclude
        Ends of the range, or other values, that do not belong to it.

    Raises
    ------
    TypeError
        It is not a number; True and False are not.
    ValueError
        It is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number{_range(low, high, exclude)}, got {value!r}")
    try:
        given = float(value)
    except OverflowError:  # an integer past all floats
        given = math.inf
    if not math.isfinite(given) or not low <= given <= high or given in exclude:
        raise ValueError(f"{name} must be a number{_range(low, high, exclude)}, got {value!r}")
    return given


def optional_number(
    name: str,
    value: object,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    exclude: Collection[float] = (),
) -> float | None:
    """Give a number as a Python float, or None for None."""
    return None if value is None else number(name, value, low, high, exclude=exclude)


def integer(name: str, value: object, low: int) -> int:
    """Give an integer of at least `low`; raises TypeError or ValueError."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer >= {low}, got {value!r}")
    if value < low:
        raise ValueError(f"{name} must be an integer >= {low}, got {value!r}")
    return int(value)


def verbosity(value: object) -> int:
    """Give a level of messages, an integer >= 0; True is 1, as many programs for Keras have it."""
    return integer("verbose", int(value) if isinstance(value, bool) else value, 0)


def flag(name: str, value: object) -> bool:
    """Give True or False; raises TypeError for anything else."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


def choice(name: str, value: object, allowed: Collection[str]) -> str:
    """Give one of the allowed words; raises ValueError for anything else."""
    if not isinstance(value, str) or value not in allowed:
        words = ", ".join(map(repr, allowed))
        raise ValueError(f"{name} must be one of {words}, got {value!r}")
    return value


def _range(low: float, high: float, exclude: Collection[float]) -> str:
    if low == -math.inf and high == math.inf:
        return ""
    if high == math.inf:
        return f" {'>' if low in exclude else '>='} {low:g}"
    return f" in {'(' if low in exclude else '['}{low:g}, {high:g}{')' if high in exclude else ']'}"
