"""Is this data that a model can learn from? Said in one sentence where not."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, SupportsIndex

import numpy as np

from onstage.errors import OnstageWarning
from onstage.model import Array

DEFAULT_BATCH_SIZE = 32
CHECKED_ELEMENTS = 2**26
"""How much of an array is looked at for NaN and for the range of labels."""
_CHUNK = 2**20
_MAX_CLASSES = 2**20


def part_names(name: str) -> tuple[str, str, str]:
    """Name x, y and the weights of the data that the user calls `name`."""
    if name == "x":
        return "x", "y", "sample_weight"
    return f"{name}'s x", f"{name}'s y", f"{name}'s sample_weight"


def as_array(value: object, name: str) -> Array:
    """Give array-like numbers as a plain array, without a copy where it is one.

    Parameters
    ----------
    value
        An array, a memmap (not read), or what ``np.asarray`` makes numbers of:
        lists, data frames, tensors on the CPU.
    name
        What the user calls it, for the messages.

    Returns
    -------
    Array
        Of bool, integers or floats, at least 1-dimensional, at least 1 long.

    Raises
    ------
    TypeError, ValueError
        It is something else; says what.
    """
    if isinstance(value, Mapping):
        raise TypeError(
            f"{name} must be one array, got a dict with the keys {_few(value)}; pass one of its values"
        )
    if is_sparse(value):
        raise TypeError(
            f"{name} must be a dense array, got the sparse {type(value).__name__}; use {name}.toarray()"
        )
    if isinstance(value, tuple) and any(getattr(item, "ndim", 0) for item in value):
        raise TypeError(
            f"{name} must be one array, got a tuple of {len(value)}; "
            "join them, or pass x, y and sample_weight apart"
        )
    try:
        array: Array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"{name} must be an array of numbers, got what makes none: {error}") from error
    _check_numbers(array, value, name)
    return array


def _check_numbers(array: Array, value: object, name: str) -> None:
    if array.dtype.kind not in "biuf":
        got = {"U": "strings", "S": "bytes", "O": "objects", "c": "complex numbers", "M": "dates"}
        what = got.get(array.dtype.kind, f"dtype {array.dtype}")
        if array.ndim == 0:
            what = f"a {type(value).__name__}"
        raise TypeError(f"{name} must be numbers, got {what}{_example(array)}; encode it as numbers first")
    if array.ndim == 0:
        raise ValueError(f"{name} must have an axis of samples, got the single number {array!r:.40}")
    if len(array) == 0:
        raise ValueError(f"{name} must hold at least one sample, got an empty array of shape {array.shape}")


def is_sparse(value: object) -> bool:
    """Say whether it is a scipy sparse matrix or array, without scipy."""
    return hasattr(value, "toarray") and hasattr(value, "nnz")


def _few(keys: Mapping[Any, Any]) -> str:
    names = [repr(key) for key in list(keys)[:3]]
    return ", ".join(names) + (", …" if len(keys) > 3 else "")


def _example(array: Array) -> str:
    if array.ndim == 0 or array.size == 0 or array.dtype.kind == "O":
        return ""
    return f" such as {array.flat[0].item()!r:.40}"


def as_count(value: SupportsIndex, name: str, remedy: str = "") -> int:
    """Give a whole number of at least 1, or raise with the argument's name."""
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number of at least 1, got {value!r:.80}{remedy}")
    count = operator.index(value)
    if count < 1:
        raise ValueError(f"{name} must be at least 1, got {count}{remedy}")
    return count


def choose_batch_size(samples: int, batch_size: SupportsIndex | None, steps: int | None) -> int:
    """Return the batch size of data that is cut into batches here, as Keras does.

    Parameters
    ----------
    samples
        Of all the data.
    batch_size
        As given; it wins.
    steps
        Batches in an epoch. Without a batch size the data is cut into that
        many: ``ceil(samples / steps)`` samples each. None, and no batch size: 32.
    """
    if batch_size is not None:
        return as_count(batch_size, "batch_size")
    return DEFAULT_BATCH_SIZE if steps is None else -(-samples // steps)


def check_lengths(
    x: Array, y: Array | None, sample_weight: Array | None, names: tuple[str, str, str]
) -> None:
    """Raise ValueError unless each sample has its target and its weight."""
    for array, name in ((y, names[1]), (sample_weight, names[2])):
        if array is not None and len(array) != len(x):
            raise ValueError(
                f"{name} must be as long as {names[0]}, got {len(array):,} samples against {len(x):,}"
            )


def as_weights(value: object, name: str) -> Array:
    """Give sample weights as a 1-D array, or raise with the argument's name."""
    weights = as_array(value, name)
    if weights.ndim == 2 and weights.shape[1] == 1:
        return weights[:, 0]
    if weights.ndim != 1:
        raise ValueError(f"{name} must be one weight for each sample, shape (n,), got shape {weights.shape}")
    return weights


def warn_of_nan(array: Array, name: str) -> None:
    """Warn (`OnstageWarning`) when floats hold a NaN; looks at the first 2**26."""
    if array.dtype.kind != "f":
        return
    for begin, chunk in _chunks(array):
        # The minimum is NaN if any element is, and takes no memory to find.
        with np.errstate(invalid="ignore"):
            lowest = chunk.min()
        if np.isnan(lowest):
            inside = np.isnan(chunk).reshape(len(chunk), -1).any(axis=1)
            warnings.warn(
                f"{name} holds NaN, first in sample {begin + int(inside.argmax())}; "
                "losses and weights may become NaN",
                OnstageWarning,
                stacklevel=4,
            )
            return


def label_range(y: Array | None) -> tuple[int, int] | None:
    """Give the lowest and the highest of integer labels; None for other data.

    Looks at the first 2**26 elements.
    """
    if y is None or y.dtype.kind not in "iu" or y.size == 0:
        return None
    bounds = [(int(chunk.min()), int(chunk.max())) for _, chunk in _chunks(y)]
    return min(low for low, _ in bounds), max(high for _, high in bounds)


def _chunks(array: Array) -> Iterator[tuple[int, Array]]:
    width = max(1, array[0].size)
    if array.size == 0:
        return
    rows = max(1, _CHUNK // width)
    for begin in range(0, min(len(array), -(-CHECKED_ELEMENTS // width)), rows):
        yield begin, array[begin : begin + rows]


def class_weight_table(class_weight: object) -> dict[int, float]:
    """Read ``class_weight``: class number to weight, keys as Keras takes them.

    Parameters
    ----------
    class_weight
        A mapping; its keys are whole numbers, or text that ``int`` reads.

    Raises
    ------
    TypeError, ValueError
        It is no mapping, or a key or a weight is no number.
    """
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            f"class_weight must be a dict of class number to weight, got {type(class_weight).__name__}"
        )
    table: dict[int, float] = {}
    for key, weight in class_weight.items():
        try:
            table[int(key)] = float(weight)
        except (TypeError, ValueError):
            raise ValueError(
                "class_weight must give a number for each class number, "
                f"got {key!r:.40}: {weight!r:.40}; use the classes' numbers in y"
            ) from None
    return table


def weights_of_classes(y: Array, table: dict[int, float], name: str) -> Array:
    """Turn class weights into sample weights.

    Parameters
    ----------
    y
        Class numbers, shape ``(n,)`` or ``(n, 1)``, floats being rounded; or
        one-hot rows, shape ``(n, classes)``.
    table
        As `class_weight_table` gives it; a class that isn't in it weighs 1.

    Returns
    -------
    Array
        Shape ``(n,)``, float32.
    """
    if y.ndim > 2:
        raise ValueError(
            f"class_weight needs {name} to be class numbers or one-hot rows, got shape {y.shape}; "
            "use sample_weight"
        )
    if y.ndim == 2:
        y = y.argmax(axis=1) if y.shape[1] != 1 else y[:, 0]
    if y.dtype.kind == "f":
        if not np.isfinite(y).all():
            raise ValueError(f"class_weight needs {name} to be class numbers, got NaN or infinity among them")
        y = np.rint(y)
    y = y.astype(np.int64, copy=False)
    low, high = int(y.min()), int(y.max())
    if high - low >= _MAX_CLASSES:
        raise ValueError(f"class_weight needs {name} to be class numbers, got numbers from {low} to {high}")
    weights = np.array([table.get(label, 1.0) for label in range(low, high + 1)], np.float32)
    return weights.take(y - low if low else y)
