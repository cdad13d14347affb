"""Batches from what gives batches itself: generators, loaders, sequences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np

from onstage.data._validation import (
    as_array,
    as_weights,
    check_lengths,
    is_sparse,
    label_range,
    warn_of_nan,
    weights_of_classes,
)
from onstage.data.batches import BatchesBase, Spec
from onstage.errors import StateError
from onstage.model import Batch


class StreamBatches(BatchesBase):
    """Batches that a user's object gives, checked one by one.

    The first batch is fetched at once, to see what comes, and handed out first.
    A resumed epoch fetches and drops the batches that were handed out before;
    an object with ``__len__`` and ``__getitem__`` isn't asked for them.

    Parameters
    ----------
    source
        A generator, an iterable, or an object with ``__len__`` (batches) and
        ``__getitem__`` (batch number to batch). Arrays of a framework's own
        stay as they are; lists become numpy arrays.
    shuffle, rng
        Draw the order of batches for each pass; for ``__getitem__`` only.
    limit, name
        As in `batches.BatchesBase`.
    class_weight
        Class number to weight; makes the sample weights.
    """

    def __init__(
        self,
        source: Any,
        *,
        shuffle: bool,
        rng: np.random.Generator | None,
        limit: int | None,
        class_weight: dict[int, float] | None,
        name: str,
    ) -> None:
        self._source = source
        self._class_weight = class_weight
        self._indexed = hasattr(source, "__getitem__") and hasattr(source, "__len__")
        draws = self._indexed and shuffle
        if draws and rng is None:
            rng = np.random.default_rng()
        super().__init__(name, limit, _length(source), rng if draws else None)
        self._waiting: Iterator[Any] | None = None if self._indexed else iter(source)
        self._once = self._waiting is source
        self._ended = False
        self._fetched = 0
        x, y, _ = self._check(self._peek(), 0)
        self.x_spec = _spec(x)
        self.y_spec = None if y is None else _spec(y)
        self.y_range = label_range(y) if isinstance(y, np.ndarray) else None
        if isinstance(x, np.ndarray):
            warn_of_nan(x, f"{name}'s first batch")

    def _peek(self) -> Any:
        if self._waiting is None:
            first = [self._source[0]] if self._length else []
        else:
            first = list(islice(self._waiting, 1))
            self._waiting = chain(first, self._waiting)
        if not first:
            raise ValueError(
                f"{self._name} must give at least one batch, got an empty {type(self._source).__name__}"
            )
        return first[0]

    @property
    def exhausted(self) -> bool:
        """Whether no batch will come any more: a generator that has ended."""
        return self._once and self._ended

    def _leave_pass(self) -> None:
        # A generator has one pass only, which no epoch and no restart can leave.
        if not self._once or self._ended:
            super()._leave_pass()

    def _end_pass(self) -> None:
        self._ended = True
        super()._end_pass()

    def _open_pass(self, start: int) -> Iterator[Batch]:
        if self._indexed:
            length = self._length or 0
            order = range(length) if self._rng is None else self._rng.permutation(length)
            return self._picked(order[start:])
        if self.exhausted and not start:
            return iter(())
        return self._streamed(start)

    def _picked(self, numbers: Iterable[int]) -> Iterator[Batch]:
        for number in map(int, numbers):
            yield self._check(self._source[number], number)

    def _streamed(self, start: int) -> Iterator[Batch]:
        items, self._waiting = self._waiting or iter(self._source), None
        if not self._once:
            self._fetched = 0
        if self._fetched > start:
            raise StateError(f"{self._name} can't go back to batch {start}; resume with a new generator")
        for item in items:
            self._fetched += 1
            if self._fetched > start:
                yield self._check(item, self._fetched - 1)

    def _check(self, item: Any, number: int) -> Batch:
        """Give a batch as ``(x, y, sample_weight)``, or say what is wrong with it."""
        if self._class_weight is None and type(item) is tuple and len(item) == 2:
            x, y = item
            if _is_plain(x) and _is_plain(y) and len(x) == len(y):
                return x, y, None  # What nearly every source gives needs no words.
        parts = tuple(item) if isinstance(item, tuple | list) else (item,)
        if not 1 <= len(parts) <= 3:
            raise ValueError(
                f"{self._name} must give x, (x, y) or (x, y, sample_weight), "
                f"got {len(parts)} parts in batch {number}"
            )
        at = f"of batch {number}" if self._name == "x" else f"of batch {number} of {self._name}"
        names = f"x {at}", f"y {at}", f"sample_weight {at}"
        x, y, sample_weight = (
            None if part is None else _as_part(part, name)
            for part, name in zip((*parts, None, None)[:3], names, strict=True)
        )
        if x is None:
            raise TypeError(f"{names[0]} must be an array, got None")
        check_lengths(x, y, sample_weight, names)
        if self._class_weight is not None:
            if y is None or sample_weight is not None:
                raise ValueError(f"class_weight needs {names[1]}, and no sample_weight beside it")
            sample_weight = weights_of_classes(np.asarray(y), self._class_weight, names[1])
        elif isinstance(sample_weight, np.ndarray):
            sample_weight = as_weights(sample_weight, names[2])
        return x, y, sample_weight


def _length(source: Any) -> int | None:
    try:
        return len(source)
    except TypeError:  # It has none, or (a loader over a stream) can't tell it.
        return None


def _is_plain(part: Any) -> bool:
    return type(part) is np.ndarray and part.dtype.kind in "fiub" and part.ndim > 0 and len(part) > 0


def _spec(part: Any) -> Spec:
    return Spec(tuple(part.shape[1:]), part.dtype)


def _as_part(part: Any, name: str) -> Any:
    """Give an array or a framework's tensor as it is, a list as an array."""
    is_tensor = hasattr(part, "shape") and hasattr(part, "dtype") and not is_sparse(part)
    if is_tensor and not isinstance(part, np.ndarray | np.generic) and len(part.shape) and len(part):
        return part
    return as_array(part, name)
