"""Checks of user data; each message says what is wrong in one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, SupportsIndex

import numpy as np

from onstage.errors import warn
from onstage.model import Array
from onstage.validation import validate_int

DEFAULT_BATCH_SIZE = 32
CHECKED_ELEMENTS = 2**26
"""Elements of an array that are searched for NaN and for the range of labels."""
_CHUNK = 2**20
_MAX_CLASSES = 2**20


def name_parts(name: str) -> tuple[str, str, str]:
    """Return the names of x, y and the weights in data that the user calls `name`."""
    if name == "x":
        return "x", "y", "sample_weight"
    return f"{name}'s x", f"{name}'s y", f"{name}'s sample_weight"


def as_array(value: object, name: str) -> Array:
    """Return array-like numbers as a plain array, without a copy if they are one.

    Parameters
    ----------
    value
        An array, a memmap (not read), or anything that ``np.asarray`` turns
        into numbers: lists, data frames, tensors on the CPU.
    name
        User's name of it, for messages.

    Returns
    -------
    Array
        Of bool, integers or floats, at least 1-dimensional, at least 1 long.

    Raises
    ------
    TypeError, ValueError
        If it is anything else; the message says what.
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
        remedy = "; pad rows of different lengths" if "inhomogeneous" in str(error) else ""
        if hasattr(value, "detach"):
            cast = ".float()" if "bfloat16" in str(getattr(value, "dtype", "")) else ""
            remedy = f"; write {name}.detach().cpu(){cast}, or train a torch module with TorchModel"
        reason = str(error).rstrip(".")
        raise ValueError(
            f"{name} must be an array of numbers, got a {type(value).__name__}: {reason}{remedy}"
        ) from error
    _check_numbers(array, value, name)
    return array


def reject_several_inputs(x: object, y: object, name: str) -> None:
    """Raise TypeError for a list of arrays that each have a row for every target.

    As an array it would be their stack, with the inputs as its samples.
    """
    if not isinstance(x, list) or y is None or not all(isinstance(each, np.ndarray) for each in x):
        return
    samples = len(y) if hasattr(y, "__len__") else -1
    if len(x) != samples and all(each.ndim and len(each) == samples for each in x):
        raise TypeError(
            f"{name} must be one array, got a list of {len(x)} arrays, as for a model of {len(x)} inputs; "
            "join them with np.concatenate, or train a torch module with onstage_torch.TorchModel"
        )


def _check_numbers(array: Array, value: object, name: str) -> None:
    if array.dtype.kind not in "biuf":
        got = {"U": "strings", "S": "bytes", "O": "objects", "c": "complex numbers", "M": "dates"}
        found = got.get(array.dtype.kind, f"dtype {array.dtype}")
        if array.ndim == 0:
            found = f"a {type(value).__name__}"
        remedy = _REMEDIES.get(array.dtype.kind, "encode it as numbers first")
        if isinstance(value, str):
            remedy = "load the file first, for example with np.load or pandas.read_csv"
        raise TypeError(f"{name} must be numbers, got {found}{_example(array)}; {remedy}")
    if array.ndim == 0:
        raise ValueError(f"{name} must have an axis of samples, got the single number {array!r:.40}")
    if len(array) == 0:
        raise ValueError(f"{name} must hold at least one sample, got an empty array of shape {array.shape}")


_REMEDIES = {
    "c": "pass .real and .imag as columns",
    "M": "subtract a date and divide by np.timedelta64(1, 'D')",
}


def is_sparse(value: object) -> bool:
    """Return whether it is a scipy sparse matrix or array, without importing scipy."""
    return hasattr(value, "toarray") and hasattr(value, "nnz")


def _few(keys: Mapping[Any, Any]) -> str:
    names = [repr(key) for key in list(keys)[:3]]
    return ", ".join(names) + (", …" if len(keys) > 3 else "")


def _example(array: Array) -> str:
    if array.ndim == 0 or array.size == 0 or array.dtype.kind == "O":
        return ""
    return f" such as {array.flat[0].item()!r:.40}"


def reject_array_arguments(name: str, x: object, **given: object) -> None:
    """Raise ValueError if arguments for arrays are passed with a source of batches.

    Parameters
    ----------
    name
        User's name of x.
    **given
        Arguments by name, such as y and batch_size; None if not passed.
    """
    for argument, value in given.items():
        if value is not None:
            raise ValueError(
                f"{argument} must be left out if {name} yields batches itself ({type(x).__name__}); "
                "let it yield (x, y, sample_weight)"
            )


def choose_batch_size(samples: int, batch_size: SupportsIndex | None, steps: int | None) -> int:
    """Return the batch size of data that is cut into batches, as Keras does.

    Parameters
    ----------
    samples
        Number of all samples.
    batch_size
        As passed by the user; it takes precedence.
    steps
        Batches in an epoch. Without a batch size the data is cut into that
        many: ``ceil(samples / steps)`` samples each. If both are None: 32.
    """
    if batch_size is not None:
        return validate_int("batch_size", batch_size, 1)
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


def as_sample_weights(value: object, name: str) -> Array:
    """Return sample weights as a 1-D array; raise if there is not one for each sample."""
    weights = as_array(value, name)
    if weights.ndim == 2 and weights.shape[1] == 1:
        return weights[:, 0]
    if weights.ndim != 1:
        raise ValueError(f"{name} must be one weight for each sample, shape (n,), got shape {weights.shape}")
    return weights


def warn_if_nan(array: Array, name: str) -> None:
    """Warn (`OnstageWarning`) if floats hold a NaN among the first 2**26."""
    if array.dtype.kind != "f":
        return
    for begin, chunk in _chunks(array):
        # The minimum is NaN if any element is, and finding it takes no memory.
        with np.errstate(invalid="ignore"):
            lowest = np.minimum.reduce(chunk, None)
        if lowest != lowest:
            inside = np.isnan(chunk).reshape(len(chunk), -1).any(axis=1)
            warn(
                f"{name} holds NaN, first in sample {begin + int(inside.argmax())}; "
                "losses and weights may become NaN"
            )
            return


def label_range(y: Array | None) -> tuple[int, int] | None:
    """Return the lowest and the highest of integer labels; None for other data.

    Only the first 2**26 elements are read.
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


def parse_class_weight(class_weight: object, sample_weight: object = None) -> dict[int, float] | None:
    """Return ``class_weight`` as class number to weight; None for None.

    Parameters
    ----------
    class_weight
        A mapping; its keys are whole numbers, or text that ``int`` reads, as
        in Keras.
    sample_weight
        Must be None unless `class_weight` is.

    Raises
    ------
    TypeError, ValueError
        If it is not a mapping, a key or a weight is not a number, or sample
        weights are passed too.
    """
    if class_weight is None:
        return None
    if sample_weight is not None:
        raise ValueError(
            "class_weight and sample_weight can't both be given; multiply them into sample_weight"
        )
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
                "class_weight must map each class number to a number, "
                f"got {key!r:.40}: {weight!r:.40}; use the classes' numbers in y"
            ) from None
    return table


def class_weight_to_sample_weights(y: Array, table: dict[int, float], name: str) -> Array:
    """Return the sample weights that class weights amount to.

    Parameters
    ----------
    y
        Class numbers, shape ``(n,)`` or ``(n, 1)``, floats being rounded; or
        one-hot rows, shape ``(n, classes)``.
    table
        Result of `parse_class_weight`; a class that it lacks weighs 1.
    name
        User's name of y, for messages.

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
