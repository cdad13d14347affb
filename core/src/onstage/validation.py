"""Checks of constructor arguments: *name must be what, got value*."""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

from onstage.errors import StateError


def validate_float(
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


def validate_optional_float(
    name: str,
    value: object,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    exclude: Collection[float] = (),
) -> float | None:
    """Give a number as a Python float, or None for None."""
    return None if value is None else validate_float(name, value, low, high, exclude=exclude)


def validate_int(name: str, value: object, low: int) -> int:
    """Give an integer of at least `low`; raises TypeError or ValueError."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer >= {low}, got {value!r}")
    if value < low:
        raise ValueError(f"{name} must be an integer >= {low}, got {value!r}")
    return int(value)


def validate_count(name: str, value: object, *, least: int, optional: bool = False) -> None:
    """Raise unless the value is an integer of at least `least`, or None if `optional`."""
    if optional and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer{' or None' if optional else ''}, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be {least} or more, got {value}")


def validate_seed(seed: Any) -> int:
    """Return a seed as an int >= 0; raises TypeError or ValueError."""
    validate_count("seed", seed, least=0)
    return int(seed)


def validate_verbosity(value: object) -> int:
    """Give a level of messages, an integer >= 0; True is 1, as many programs for Keras have it."""
    return validate_int("verbose", int(value) if isinstance(value, bool) else value, 0)


def validate_bool(name: str, value: object) -> bool:
    """Give True or False; raises TypeError for anything else."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


def validate_choice(name: str, value: object, allowed: Collection[str]) -> str:
    """Give one of the allowed words; raises ValueError for anything else."""
    if not isinstance(value, str) or value not in allowed:
        words = ", ".join(map(repr, allowed))
        raise ValueError(f"{name} must be one of {words}, got {value!r}")
    return value


def validate_state(state: object, /, **kinds: type | tuple[type, ...]) -> list[Any]:
    """Take named parts out of a saved state, each of the kind that it has when it is saved.

    Parameters
    ----------
    state
        What a file gave for a ``state_dict()``: anything.
    **kinds
        Name to type or types. An int must be a count, from 0; a float may be an
        int; True and False are of type bool alone.

    Returns
    -------
    list
        The parts, in the order named.

    Raises
    ------
    StateError
        A part is missing or of another kind.

    Examples
    --------
    >>> restored({"wait": 3, "best": None}, wait=int, best=(float, type(None)))
    [3, None]
    """
    if not isinstance(state, dict):
        raise StateError(f"a saved state must be a dict, got {type(state).__name__}")
    for name, kind in kinds.items():
        types = kind if isinstance(kind, tuple) else (kind,)
        if name not in state:
            raise StateError(f"a saved state must have {name!r}, this one has {sorted(map(str, state))[:20]}")
        if not any(_is_of(type_, state[name]) for type_ in types):
            named = " or ".join(type_.__name__.replace("NoneType", "None") for type_ in types)
            raise StateError(f"the saved {name!r} must be {named}, got {_brief(state[name])}")
    return [state[name] for name in kinds]


def validate_weights(saved: list[Any] | None, model: Any) -> list[Any] | None:
    """Give saved weights, or None for None; raises StateError where they don't fit a model."""
    if saved is None or model is None:
        return saved
    shapes = [getattr(each, "shape", type(each).__name__) for each in saved]
    own = [each.shape for each in model.get_weights()]
    if shapes != own:
        raise StateError(f"saved weights must have the shapes {own}, got {shapes}")
    return saved


def _is_of(type_: type, value: object) -> bool:
    if type_ is int:
        return type(value) is int and 0 <= value < 2**63
    if type_ is float:
        return type(value) in (int, float)
    return isinstance(value, type_)


def _brief(value: object) -> str:
    return f"{value!r}" if isinstance(value, (int, float)) else type(value).__name__


def _range(low: float, high: float, exclude: Collection[float]) -> str:
    if low == -math.inf and high == math.inf:
        return ""
    if high == math.inf:
        return f" {'>' if low in exclude else '>='} {low:g}"
    return f" in {'(' if low in exclude else '['}{low:g}, {high:g}{')' if high in exclude else ']'}"
