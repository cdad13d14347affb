"""Checks of arguments and of saved states: *name must be X, got Y*."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Collection
from numbers import Real
from typing import Any

from onstage.errors import StateError, did_you_mean


def validate_float(
    name: str,
    value: object,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    exclude: Collection[float] = (),
) -> float:
    """Return a real number as a float.

    Parameters
    ----------
    low, high
        Range, ends included. NaN and infinity are never in it.
    exclude
        Ends of the range, or other values, that do not belong to it.

    Raises
    ------
    TypeError
        If it is not a number; True and False are not.
    ValueError
        If it is out of range.

    Examples
    --------
    >>> validate_float("rate", 0.5, 0, 1, exclude={1})
    0.5
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number{_range(low, high, exclude)}, got {value!r:.80}")
    try:
        given = float(value)
    except OverflowError:  # an integer that is greater than all floats
        given = math.inf
    if not math.isfinite(given) or not low <= given <= high or given in exclude:
        raise ValueError(f"{name} must be a number{_range(low, high, exclude)}, got {value!r:.80}")
    return given


def validate_optional_float(
    name: str,
    value: object,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    exclude: Collection[float] = (),
) -> float | None:
    """Return None for None, else the result of `validate_float`."""
    return None if value is None else validate_float(name, value, low, high, exclude=exclude)


def validate_int(name: str, value: object, low: int) -> int:
    """Return an integer of any library as an int.

    Parameters
    ----------
    low
        Smallest valid value.

    Raises
    ------
    TypeError
        If it is not an integer; True, False and 2.0 are not.
    ValueError
        If it is smaller than `low`.

    Examples
    --------
    >>> validate_int("patience", 3, 0)
    3
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]  # checked here
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name} must be an integer >= {low}, got {value!r:.80}")
    if number < low:
        raise ValueError(f"{name} must be an integer >= {low}, got {value!r:.80}")
    return number


def validate_optional_int(name: str, value: object, low: int) -> int | None:
    """Return None for None, else the result of `validate_int`."""
    return None if value is None else validate_int(name, value, low)


def validate_verbosity(value: object) -> int:
    """Return a level of messages, an integer >= 0; True counts as 1, False as 0."""
    return validate_int("verbose", int(value) if isinstance(value, bool) else value, 0)


def validate_bool(name: str, value: object) -> bool:
    """Return True or False; raise TypeError for any other value."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r:.80}")
    return value


def validate_choice(name: str, value: object, allowed: Collection[str]) -> str:
    """Return one of the allowed words; raise ValueError, with the closest, for any other value."""
    if not isinstance(value, str) or value not in allowed:
        words = ", ".join(map(repr, allowed))
        raise ValueError(
            f"{name} must be one of {words}, got {value!r:.80}{did_you_mean(str(value), allowed)}"
        )
    return value


FOREIGN_SUFFIXES = (
    *(".bin", ".ckpt", ".h5", ".hdf5", ".joblib", ".keras", ".npy", ".npz", ".onnx", ".pb", ".pickle"),
    *(".pkl", ".pt", ".pth", ".tf", ".tflite"),
)
"""Suffixes that stand for the formats of other programs."""


def validate_state_path(filepath: str | os.PathLike[str]) -> None:
    """Raise ValueError if a path's suffix stands for the format of another program.

    State files are in safetensors format; no suffix and unknown ones are
    accepted.

    Examples
    --------
    >>> validate_state_path("model.safetensors")
    """
    suffix = os.path.splitext(os.fspath(filepath))[1].lower()
    if suffix in FOREIGN_SUFFIXES:
        raise ValueError(
            f"filepath must not end with {suffix!r}, the suffix of another format, got "
            f"{os.fspath(filepath)!r}; use '.safetensors', the format of the file, or no suffix"
        )


def validate_state(state: object, /, **kinds: type | tuple[type, ...]) -> list[Any]:
    """Return named parts of a saved state, after a check of their types.

    Parameters
    ----------
    state
        Content of a file where a ``state_dict()`` is expected: any value.
    **kinds
        Type or types of each part. An int must be in [0, 2**63); a float may be
        an int; True and False are of type bool only.

    Returns
    -------
    list
        The parts, in the order of `kinds`.

    Raises
    ------
    StateError
        If a part is missing or of another type.

    Examples
    --------
    >>> validate_state({"wait": 3, "best": None}, wait=int, best=(float, type(None)))
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
    """Return saved weights; raise StateError if their shapes are not those of the model's.

    None, for the weights or the model, is not checked.
    """
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
