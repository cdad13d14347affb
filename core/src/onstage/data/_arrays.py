"""From ``x, y, sample_weight`` to batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onstage.data._stream import StreamBatches
from onstage.data._validation import (
    as_array,
    as_count,
    as_weights,
    check_lengths,
    choose_batch_size,
    class_weight_table,
    is_sparse,
    label_range,
    part_names,
    warn_of_nan,
    weights_of_classes,
)
from onstage.data.batches import Batches, BatchesBase, Spec
from onstage.model import Array, Batch

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
    """Make batches of what a user passes to fit, evaluate or predict.

    Parameters
    ----------
    x
        Array-like numbers, samples first: an array, a memmap (never read as a
        whole), lists, a data frame. Or something that gives batches, each
        ``(x, y)``, ``(x, y, sample_weight)`` or x alone: a generator, a data
        loader, an object with ``__len__`` and ``__getitem__``.
    y, sample_weight
        For arrays only; as long as x. Weights are one number for a sample.
    batch_size
        For arrays only, at least 1. Where None, ``ceil(n / steps)``, or 32
        without `steps`. The last batch may be short.
    shuffle
        Draw a new order for each pass. Iterables keep their own order.
    rng
        Draws the order; for these batches alone. A new one where None.
    steps
        Batches in an epoch, at least 1. The next epoch then goes on where the
        last one stopped, as in Keras; where the data ends earlier, so does the
        epoch, with a warning.
    class_weight
        Weight for each class number, as in Keras; other classes weigh 1.
    name
        What the user calls x: ``"x"``, ``"validation_data"``.

    Raises
    ------
    TypeError, ValueError
        The data is no data, or its parts don't fit together.

    Warns
    -----
    OnstageWarning
        x holds NaN.
    """
    limit = None if steps is None else as_count(steps, "steps")
    if class_weight is not None and sample_weight is not None:
        raise ValueError(
            "class_weight and sample_weight can't both be given; multiply them into sample_weight"
        )
    table = None if class_weight is None else class_weight_table(class_weight)
    if not _is_array_like(x):
        for value, argument in ((y, "y"), (sample_weight, "sample_weight"), (batch_size, "batch_size")):
            if value is not None:
                raise ValueError(
                    f"{argument} must be left out where {name} gives batches itself ({type(x).__name__}); "
                    "let it give (x, y, sample_weight)"
                )
        return StreamBatches(x, shuffle=shuffle, rng=rng, limit=limit, class_weight=table, name=name)

    x, y, sample_weight = _as_arrays(x, y, sample_weight, name)
    if table is not None:
        if y is None:
            raise ValueError("class_weight needs y, got None; use sample_weight")
        sample_weight = weights_of_classes(y, table, part_names(name)[1])
    size = choose_batch_size(len(x), batch_size, limit)
    warn_of_nan(x, part_names(name)[0])
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
    # What is neither is refused as an array would be.
    return not (hasattr(x, "__iter__") or (hasattr(x, "__len__") and hasattr(x, "__getitem__")))


def _as_arrays(
    x: object, y: object, sample_weight: object, name: str
) -> tuple[Array, Array | None, Array | None]:
    names = part_names(name)
    x = as_array(x, names[0])
    y = None if y is None else as_array(y, names[1])
    sample_weight = None if sample_weight is None else as_weights(sample_weight, names[2])
    check_lengths(x, y, sample_weight, names)
    return x, y, sample_weight


class ArrayBatches(BatchesBase):
    """Batches of arrays, gathered in a new order each pass where `rng` is given.

    The arrays stay where they are. Unshuffled batches are slices of them;
    shuffled ones are gathered into one small buffer for each array, which every
    batch reuses, so that it stays in the processor's cache.

    Parameters
    ----------
    x, y, sample_weight
        Checked already, of one length; y and sample_weight may be None.
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

    @cached_property
    def y_range(self) -> tuple[int, int] | None:
        """Lowest and highest of integer labels, among the first 2**26."""
        return label_range(self._y)

    def _open_pass(self, start: int) -> Iterator[Batch]:
        if self._rng is None:
            return self._slices(start)
        return self._gathered(start, self._rng.permutation(len(self._x)))

    def _slices(self, start: int) -> Iterator[Batch]:
        x, y, sample_weight, size = self._x, self._y, self._sample_weight, self._size
        for begin in range(start * size, len(x), size):
            end = begin + size
            yield (
                x[begin:end],
                None if y is None else y[begin:end],
                None if sample_weight is None else sample_weight[begin:end],
            )

    def _gathered(self, start: int, order: NDArray[np.int64]) -> Iterator[Batch]:
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
    """Make the function that picks `size` rows of an array into its buffer."""
    if array is None:
        return lambda rows: None
    # take() first copies a whole array that isn't contiguous; indexing doesn't.
    if not (array.flags.c_contiguous and array.flags.aligned):
        return array.__getitem__
    take, buffer = array.take, np.empty((size, *array.shape[1:]), array.dtype)
    # "clip": under "raise" take() fills a temporary and copies that.
    return lambda rows: take(rows, 0, buffer, "clip")


def split_validation(
    x: object, y: object, sample_weight: object, validation_split: float
) -> tuple[Arrays, Arrays]:
    """Set the last part of the data aside, before any shuffling.

    Parameters
    ----------
    x, y, sample_weight
        Array-like, as in `as_batches`.
    validation_split
        The share to set aside, between 0 and 1. Training gets
        ``floor(n * (1 - validation_split))`` samples; unlike Keras's, the
        product isn't pushed below a whole number by round-off, so 0.9 of 10
        leaves 1.

    Returns
    -------
    tuple
        ``(x, y, sample_weight)`` of training, and those of validation; views.

    Raises
    ------
    ValueError
        The share isn't between 0 and 1, or leaves one side empty.
    """
    if not isinstance(validation_split, float | int | np.number) or not 0 < validation_split < 1:
        raise ValueError(f"validation_split must be between 0 and 1, both excluded, got {validation_split!r}")
    if not _is_array_like(x):
        raise ValueError(
            f"validation_split needs x to be an array, got {type(x).__name__}; pass validation_data instead"
        )
    arrays = _as_arrays(x, y, sample_weight, "x")
    n = len(arrays[0])
    # A few units of round-off for the share and for the product, each of 2**-53.
    split = math.floor(n * (1 - float(validation_split)) + n * 2.0**-50)
    if not 0 < split < n:
        raise ValueError(
            f"validation_split must leave samples on both sides, got {validation_split!r} of {n} samples"
        )
    return _part(arrays, slice(split)), _part(arrays, slice(split, None))


def _part(arrays: Arrays, rows: slice) -> Arrays:
    x, y, sample_weight = arrays
    return x[rows], None if y is None else y[rows], None if sample_weight is None else sample_weight[rows]
