"""Batches from objects that make them: generators, loaders, sequences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np

from onstage.data._source import SourceBatches, known_length
from onstage.data._validation import (
    as_array,
    as_sample_weights,
    check_lengths,
    class_weight_to_sample_weights,
    is_sparse,
    label_range,
    warn_if_nan,
)
from onstage.data.batches import Spec
from onstage.errors import StateError
from onstage.model import Batch, State

_MAX_EPOCHS = 1_000_000
"""Largest number of epochs that a saved state may ask to be repeated."""


class StreamBatches(SourceBatches):
    """Batches that a user's object makes, checked one by one.

    The first batch is fetched at once, to read its shapes, and handed out
    first. A resumed epoch fetches and drops the batches that were handed out
    before; those of an object with ``__len__`` and ``__getitem__`` are not
    fetched. Such an object may have the methods ``on_epoch_begin`` and
    ``on_epoch_end``, which are called around each epoch that is not left
    early; a resumed run calls them as often as the saved one had.

    Parameters
    ----------
    source
        A generator, an iterable, or an object with ``__len__`` (batches) and
        ``__getitem__`` (batch number to batch). Tensors of a framework are
        handed on; lists become numpy arrays.
    shuffle, rng
        Draw the order of batches for each pass; for ``__getitem__`` only.
    limit, name
        As in `batches.BatchesBase`.
    class_weight
        Class number to weight, from which sample weights are made.
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
        self._class_weight = class_weight
        self._indexed = is_indexed(source)
        self._epochs = 0
        draws = self._indexed and shuffle
        if draws and rng is None:
            rng = np.random.default_rng()
        super().__init__(source, name=name, limit=limit, rng=rng if draws else None)
        self._waiting: Iterator[Any] | None = None if self._indexed else iter(source)
        self._once = self._waiting is source
        x, y, _ = self._check(self._peek(), 0)
        self.x_spec = _spec(x)
        self.y_spec = None if y is None else _spec(y)
        self.y_range = label_range(y) if isinstance(y, np.ndarray) else None
        if isinstance(x, np.ndarray):
            warn_if_nan(x, f"{name}'s first batch")

    def __iter__(self) -> Iterator[Batch]:
        if not self._indexed:
            return super().__iter__()
        return self._notify_around(super().__iter__())

    def _notify_around(self, epoch: Iterator[Batch]) -> Iterator[Batch]:
        _notify(self._source, "on_epoch_begin")
        yield from epoch
        self._end_of_epoch()

    def _end_of_epoch(self) -> None:
        self._epochs += 1
        _notify(self._source, "on_epoch_end")
        self._length = known_length(self._source)

    def state_dict(self) -> State:
        """Return the position in the epoch, and the number of epochs of a sequence."""
        return super().state_dict() | ({"epochs": self._epochs} if self._indexed else {})

    def load_state_dict(self, state: State) -> None:
        """Make the next epoch the rest of the saved one; see `BatchesBase.load_state_dict`."""
        super().load_state_dict(state)
        epochs = state.get("epochs", 0) if self._indexed else 0
        if type(epochs) is not int or not 0 <= epochs <= _MAX_EPOCHS:
            raise StateError(
                f"{self._name}'s saved number of epochs must be in [0, {_MAX_EPOCHS}], got {epochs!r:.80}"
            )
        while self._epochs < epochs:
            _notify(self._source, "on_epoch_begin")
            self._end_of_epoch()

    def _peek(self) -> Any:
        if self._waiting is None:
            first = [self._source[0]] if self._length else []
        else:
            first = list(islice(self._waiting, 1))
            self._waiting = chain(first, self._waiting)
        if not first:
            raise self._empty()
        return first[0]

    def _open_pass(self, start: int) -> Iterator[Batch]:
        if self._indexed:
            length = self._length or 0
            order = range(length) if self._rng is None else self._rng.permutation(length)
            return self._pick(order[start:])
        if self.exhausted and not start:
            return iter(())
        return self._stream(start)

    def _pick(self, numbers: Iterable[int]) -> Iterator[Batch]:
        for number in map(int, numbers):
            yield self._check(self._source[number], number)

    def _stream(self, start: int) -> Iterator[Batch]:
        items, self._waiting = self._waiting or iter(self._source), None
        if not self._once:
            self._fetched = 0
        for item in self._skip_to(start, items):
            yield self._check(item, self._fetched - 1)

    def _check(self, item: Any, number: int) -> Batch:
        """Return a batch as ``(x, y, sample_weight)``; raise if it is not one."""
        if self._class_weight is None and type(item) is tuple and len(item) == 2:
            x, y = item
            if _is_plain(x) and _is_plain(y) and len(x) == len(y):
                return x, y, None  # Nearly every source yields these: no further check.
        at = f"of batch {number}" if self._name == "x" else f"of batch {number} of {self._name}"
        names = f"x {at}", f"y {at}", f"sample_weight {at}"
        x, y, sample_weight = (
            None if part is None else _as_part(part, name)
            for part, name in zip(self._split(item, number), names, strict=True)
        )
        if x is None:
            raise TypeError(f"{names[0]} must be an array, got None")
        check_lengths(x, y, sample_weight, names)
        if self._class_weight is not None:
            if y is None or sample_weight is not None:
                raise ValueError(f"class_weight needs {names[1]}, and no sample_weight beside it")
            sample_weight = class_weight_to_sample_weights(np.asarray(y), self._class_weight, names[1])
        elif isinstance(sample_weight, np.ndarray):
            sample_weight = as_sample_weights(sample_weight, names[2])
        return x, y, sample_weight


def is_indexed(source: object) -> bool:
    """Return whether an object makes its batches by number."""
    return hasattr(source, "__getitem__") and hasattr(source, "__len__")


def _notify(source: Any, method: str) -> None:
    if hasattr(source, method):
        getattr(source, method)()


def _is_plain(part: Any) -> bool:
    return type(part) is np.ndarray and part.dtype.kind in "fiub" and part.ndim > 0 and len(part) > 0


def _spec(part: Any) -> Spec:
    return Spec(tuple(part.shape[1:]), part.dtype)


def _as_part(part: Any, name: str) -> Any:
    """Return an array or a framework's tensor unchanged, a list as an array."""
    is_tensor = hasattr(part, "shape") and hasattr(part, "dtype") and not is_sparse(part)
    if is_tensor and not isinstance(part, np.ndarray | np.generic) and len(part.shape) and len(part):
        return part
    return as_array(part, name)
