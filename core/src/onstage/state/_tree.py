"""Copy state trees, and convert them to and from JSON plus named arrays.

``{"$tensor": name}`` stands for an array, ``{"$float": "nan"}`` for a number
that JSON cannot hold; a user's key that begins with ``$`` gets a second one.
"""

from __future__ import annotations

import math
import sys
from itertools import chain, repeat
from typing import Any, TypeVar

import numpy as np

from onstage.model import Array

_T = TypeVar("_T")

MAX_DEPTH = 64
MAX_INT_BITS = 4096

DTYPES = {
    "BOOL": "|b1",
    "U8": "|u1",
    "I8": "|i1",
    "U16": "<u2",
    "I16": "<i2",
    "F16": "<f2",
    "U32": "<u4",
    "I32": "<i4",
    "F32": "<f4",
    "U64": "<u8",
    "I64": "<i8",
    "F64": "<f8",
}
_CODES = {dtype[1:]: code for code, dtype in DTYPES.items()}
_SCALARS = {float, int, str, bool, type(None)}
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class CorruptFile(Exception):
    """Reason why a file cannot be read; does not name the file."""


def code_of(dtype: np.dtype[Any]) -> str | None:
    """Return the safetensors name of a dtype of any byte order, or None."""
    return _CODES.get(f"{dtype.kind}{dtype.itemsize}")


def copy_state(state: _T, into: object = None) -> _T:
    """Copy a state and its arrays; tuples become lists.

    Parameters
    ----------
    into
        Earlier copy that is no longer needed: its arrays are overwritten if
        shape and dtype match. New memory costs ten times as much as the copy.

    Examples
    --------
    >>> copy_state({"epoch": 3, "range": (0, 1)})
    {'epoch': 3, 'range': [0, 1]}
    """
    copy: Any = _copy(state, into)
    return copy  # type: ignore[no-any-return]  # of the same type


def _copy(value: Any, into: Any) -> Any:
    match value:
        case dict():
            earlier = into if isinstance(into, dict) else {}
            return {key: _copy(item, earlier.get(key)) for key, item in value.items()}
        case list() | tuple():
            old = into if isinstance(into, list) else []
            return [
                _copy(item, before) for item, before in zip(value, chain(old, repeat(None)), strict=False)
            ]
        case np.ndarray() if isinstance(into, np.ndarray) and _alike(value, into):
            np.copyto(into, value)
            return into
        case np.ndarray():
            return value.copy()
    return value


def _alike(one: Array, other: Array) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype


def encode(value: Any, path: tuple[str, ...], arrays: dict[str, Array]) -> Any:
    """Convert a value to JSON types, and collect its arrays by name."""
    if len(path) > MAX_DEPTH:
        raise ValueError(
            f"state must be at most {MAX_DEPTH} levels deep, got more at {'/'.join(path[:4])!r}…"
        )
    if isinstance(value, np.generic):
        value = value.item()
    match value:
        case float() if not math.isfinite(value):
            return {"$float": str(float(value))}
        case None | bool() | str() | float():
            return value
        case int() if value.bit_length() <= MAX_INT_BITS:
            return value
        case dict():
            return {_encode_key(key, path): encode(item, (*path, key), arrays) for key, item in value.items()}
        case list() | tuple():
            if set(map(type, value)) == {float} and all(map(math.isfinite, value)):
                return list(value)  # Fast path for the history of a long run: many numbers.
            return [encode(item, (*path, str(i)), arrays) for i, item in enumerate(value)]
        case np.ndarray():
            name = _free_name("/".join(path), arrays)
            arrays[name] = _plain(value, path)
            return {"$tensor": name}
    raise _refusal(value, "/".join(path))


def _encode_key(key: object, path: tuple[str, ...]) -> str:
    if not isinstance(key, str):
        raise TypeError(f"state must have keys of type str, got {key!r} at {'/'.join(path)!r}")
    # Doubled, so that a user's "$tensor" is not mistaken for a mark.
    return "$" + key if key.startswith("$") else key


def _plain(array: Array, path: tuple[str, ...]) -> Array:
    """Return the array contiguous and little-endian; itself if it already is."""
    code = code_of(array.dtype)
    if code is None or _is_masked(array):
        got = "a masked array" if code else f"dtype {array.dtype}"
        at = "/".join(path)
        raise TypeError(
            f"state must hold arrays of bool, integers or floats of at most 64 bits, got {got} at {at!r}"
        )
    return np.asarray(array, dtype=DTYPES[code], order="C")


def _free_name(at: str, arrays: dict[str, Array]) -> str:
    name = at.encode(errors="backslashreplace").decode()
    while name in arrays or name == "__metadata__":
        name += "+"
    return name


def _refusal(value: object, at: str) -> Exception:
    if isinstance(value, int):
        return ValueError(
            f"state must hold integers of at most {MAX_INT_BITS} bits, got {value.bit_length()} at {at!r}"
        )
    return TypeError(
        "state must hold dicts, lists, str, int, float, bool, None and numpy arrays, "
        f"got {type(value).__name__} at {at!r}"
    )


def _is_masked(array: Array) -> bool:
    # Accessing np.ma would import it, which takes a quarter of numpy's import time.
    ma = sys.modules.get("numpy.ma")
    return ma is not None and isinstance(array, ma.MaskedArray)


def decode(value: Any, arrays: dict[str, Array], depth: int) -> Any:
    """Undo `encode`, in place; remove each array from `arrays`."""
    if depth > MAX_DEPTH:
        raise CorruptFile(f"its state is more than {MAX_DEPTH} levels deep")
    match value:
        case {"$tensor": str(name)} if len(value) == 1:
            if name not in arrays:
                raise CorruptFile(f"array {name[:80]!r} is missing, or used twice")
            return arrays.pop(name)
        case {"$float": str(name)} if len(value) == 1 and name in _NON_FINITE:
            return _NON_FINITE[name]
        case dict() if any(key.startswith("$") for key in value):
            return {_decode_key(key): decode(item, arrays, depth + 1) for key, item in value.items()}
        case dict():
            for key, item in value.items():
                value[key] = decode(item, arrays, depth + 1)
        case list() if not set(map(type, value)) <= _SCALARS:
            for number, item in enumerate(value):
                value[number] = decode(item, arrays, depth + 1)
    return value


def _decode_key(key: str) -> str:
    if not key.startswith("$"):
        return key
    if not key.startswith("$$"):
        raise CorruptFile(f"its state has an unknown mark {key[:80]!r}")
    return key[1:]
