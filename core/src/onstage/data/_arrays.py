"""Batches of arrays, and the entry point for all kinds of data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onstage.data._stream import StreamBatches, is_indexed
from onstage.data._validation import (
    as_array,
    as_sample_weights,
    check_lengths,
    choose_batch_size,
    class_weight_to_sample_weights,
    is_sparse,
    label_range,
    name_parts,
    parse_class_weight,
    reject_array_arguments,
    reject_several_inputs,
    warn_if_nan,
)
from onstage.data.batches import Batches, BatchesBase, Spec
from onstage.model import Array, Batch
from onstage.validation import validate_float, validate_optional_int

__all__ = ["ArrayBatches", "Batches", "Spec", "StreamBatches", "as_batches", "split_validation"]

Arrays: TypeAlias = tuple[Array, Array | None, Array | None]
"""``(x, y, sample_weight)`` of all the data."""

Gatherer: TypeAlias = Callable[[NDArray[np.int64]], Array | None]


def as_batches(
    x: object,
    y: object = None,
    sample_weight: object = None,
    *,
    batch_size: SupportsIndex | None = None,
    shuffle: bool = False,
    rng: np.random.Generator | None = None,
    steps: SupportsIndex | None = None,
    class_weight: object = None,
    name: str = "x",
) -> Batches:
    """Return batches of the data that a user passes to fit, evaluate or predict.

    Parameters
    ----------
    x
        Array-like numbers, samples first: an array, a memmap (never read as a
        whole), lists, a data frame. Or a source of batches, each ``(x, y)``,
        ``(x, y, sample_weight)`` or x alone: a generator, a data loader, an
        object with ``__len__`` and ``__getitem__``.
    y, sample_weight
        For arrays only; as long as x. Weights are one number for each sample.
    batch_size
        For arrays only, at least 1. If None, ``ceil(n / steps)``, or 32
        without `steps`. The last batch may be short. No effect on an object
        with ``__len__`` and ``__getitem__``, which makes its own batches.
    shuffle
        Draw a new order for each pass, of the rows of arrays or the batches of
        ``__getitem__``. Iterables keep their own order.
    rng
        Generator of the order, for these batches only. If None, a new one.
    steps
        Batches in an epoch, at least 1. The next epoch then continues where
        the last one stopped, as in Keras; if the data ends earlier, so does
        the epoch, with a warning.
    class_weight
        Weight of each class number, as in Keras; other classes weigh 1.
    name
        User's name of x: ``"x"``, ``"validation_data"``.

    Raises
    ------
    TypeError, ValueError
        If x is not data, or its parts don't fit together.

    Warns
    -----
    OnstageWarning
        If x holds NaN.

    Examples
    --------
    >>> [y.tolist() for x, y, _ in as_batches([[1.0], [2.0], [3.0]], [0, 1, 0], batch_size=2)]
    [[0, 1], [0]]
    """
    if x is None:
        raise TypeError(f"{name} must be given, got None; pass an array, or an iterable of batches")
    limit = validate_optional_int("steps", steps, 1)
    table = parse_class_weight(class_weight, sample_weight)
    if not _is_array_like(x):
        for_arrays = {"y": y, "sample_weight": sample_weight}
        if not is_indexed(x):
            for_arrays["batch_size"] = batch_size
        reject_array_arguments(name, x, **for_arrays)
        return StreamBatches(x, shuffle=shuffle, rng=rng, limit=limit, class_weight=table, name=name)

    x, y, sample_weight = _as_arrays(x, y, sample_weight, name)
    if table is not None:
        if y is None:
            raise ValueError("class_weight needs y, got None; use sample_weight")
        sample_weight = class_weight_to_sample_weights(y, table, name_parts(name)[1])
    size = choose_batch_size(len(x), batch_size, limit)
    warn_if_nan(x, name_parts(name)[0])
    if shuffle and rng is None:
        rng = np.random.default_rng()
    return ArrayBatches(
        x, y, sample_weight, batch_size=size, rng=rng if shuffle else None, limit=limit, name=name
    )


def _is_array_like(x: object) -> bool:
    if isinstance(x, list | tuple | range | str | bytes | bytearray | memoryview | Mapping) or is_sparse(x):
        return True
    if hasattr(x, "__array__") or hasattr(x, "__array_interface__"):
        return True
    # Anything else is refused with the message for arrays.
    return not (hasattr(x, "__iter__") or is_indexed(x))


def _as_arrays(
    x: object, y: object, sample_weight: object, name: str
) -> tuple[Array, Array | None, Array | None]:
    names = name_parts(name)
    reject_several_inputs(x, y, names[0])
    x = as_array(x, names[0])
    y = None if y is None else as_array(y, names[1])
    sample_weight = None if sample_weight is None else as_sample_weights(sample_weight, names[2])
    check_lengths(x, y, sample_weight, names)
    return x, y, sample_weight


class ArrayBatches(BatchesBase):
    """Batches of arrays, gathered in a new order each pass if `rng` is given.

    The arrays are not copied. Unshuffled batches are slices of them; shuffled
    ones are gathered into one small buffer for each array, which every batch
    reuses, so that it stays in the processor's cache.

    Parameters
    ----------
    x, y, sample_weight
        Already checked, of equal length; y and sample_weight may be None.
    batch_size
        At least 1.
    rng, limit, name
        As in `batches.BatchesBase`.
    """

    def __init__(
        self,
        x: Array,
        y: Array | None,
        sample_weight: Array | None,
        *,
        batch_size: int,
        rng: np.random.Generator | None,
        limit: int | None,
        name: str,
    ) -> None:
        self.samples = len(x)
        self.batch_size = self._size = batch_size
        super().__init__(name, limit, -(-len(x) // batch_size), rng)
        self.x_spec = Spec(x.shape[1:], x.dtype)
        self.y_spec = None if y is None else Spec(y.shape[1:], y.dtype)
        self._x, self._y, self._sample_weight = x, y, sample_weight

    def fingerprint(self) -> str:
        """Return a digest of the first and the last row, to compare with the data of a saved run."""
        import hashlib  # imported late: it loads a large library

        digest = hashlib.sha256()
        for array in (self._x, self._y, self._sample_weight):
            for rows in () if array is None else (array[:1], array[-1:]):
                digest.update(np.ascontiguousarray(rows).tobytes())
        return digest.hexdigest()

    @cached_property
    def y_range(self) -> tuple[int, int] | None:
        """Lowest and highest of integer labels, among the first 2**26."""
        return label_range(self._y)

    def _open_pass(self, start: int) -> Iterator[Batch]:
        if self._rng is None:
            return self._slice(start)
        return self._gather(start, self._rng.permutation(len(self._x)))

    def _slice(self, start: int) -> Iterator[Batch]:
        x, y, sample_weight, size = self._x, self._y, self._sample_weight, self._size
        for begin in range(start * size, len(x), size):
            end = begin + size
            yield (
                x[begin:end],
                None if y is None else y[begin:end],
                None if sample_weight is None else sample_weight[begin:end],
            )

    def _gather(self, start: int, order: NDArray[np.int64]) -> Iterator[Batch]:
        whole = len(order) - len(order) % self._size
        x, y, sample_weight = self._gatherers(self._size)
        for rows in order[:whole].reshape(-1, self._size)[start:]:
            yield x(rows), y(rows), sample_weight(rows)
        if whole < len(order) and start * self._size <= whole:
            rows = order[whole:]
            x, y, sample_weight = self._gatherers(len(rows))
            yield x(rows), y(rows), sample_weight(rows)

    def _gatherers(self, size: int) -> tuple[Gatherer, Gatherer, Gatherer]:
        return _gatherer(self._x, size), _gatherer(self._y, size), _gatherer(self._sample_weight, size)


def _gatherer(array: Array | None, size: int) -> Gatherer:
    """Return a function that copies `size` rows of an array into its buffer."""
    if array is None:
        return lambda rows: None
    # take() first copies an array that isn't contiguous as a whole; indexing doesn't.
    if not (array.flags.c_contiguous and array.flags.aligned):
        return array.__getitem__
    take, buffer = array.take, np.empty((size, *array.shape[1:]), array.dtype)
    # "clip": with "raise" take() fills a temporary array and copies that.
    return lambda rows: take(rows, 0, buffer, "clip")


def split_validation(
    x: object, y: object, sample_weight: object, validation_split: float
) -> tuple[Arrays, Arrays]:
    """Split off the last part of the data for validation, before any shuffling.

    Parameters
    ----------
    x, y, sample_weight
        Array-like, as in `as_batches`.
    validation_split
        Fraction to split off, in (0, 1). Training keeps
        ``floor(n * (1 - validation_split))`` samples; unlike in Keras,
        round-off doesn't push the product below a whole number, so 0.9 of 10
        leaves 1.

    Returns
    -------
    tuple
        ``(x, y, sample_weight)`` for training, then for validation; views.

    Raises
    ------
    ValueError
        If the fraction is not in (0, 1), or leaves one side empty.
    TypeError
        If the fraction is not a number.
    """
    fraction = validate_float("validation_split", validation_split, 0, 1, exclude={0, 1})
    if not _is_array_like(x):
        raise ValueError(
            f"validation_split needs x to be an array, got {type(x).__name__}; pass validation_data instead"
        )
    arrays = _as_arrays(x, y, sample_weight, "x")
    n = len(arrays[0])
    # A few units of round-off, each of 2**-53, for the fraction and for the product.
    split = math.floor(n * (1 - fraction) + n * 2.0**-50)
    if not 0 < split < n:
        raise ValueError(
            f"validation_split must leave samples on both sides, got {validation_split!r} of {n} samples"
        )
    return _select(arrays, slice(split)), _select(arrays, slice(split, None))


def _select(arrays: Arrays, rows: slice) -> Arrays:
    x, y, sample_weight = arrays
    return x[rows], None if y is None else y[rows], None if sample_weight is None else sample_weight[rows]
