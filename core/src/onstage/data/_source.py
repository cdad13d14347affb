"""Base of batches that the user's object makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from onstage.data.batches import BatchesBase
from onstage.errors import StateError, warn


class SourceBatches(BatchesBase):
    """Batches that the user's object makes: a generator, a loader, a sequence.

    Parameters
    ----------
    source
        Iterable or sequence of batches. An iterator has one pass only, which
        neither an epoch nor a restart leaves.
    name, limit, rng
        As in `batches.BatchesBase`.
    """

    def __init__(
        self, source: Any, *, name: str, limit: int | None, rng: np.random.Generator | None = None
    ) -> None:
        super().__init__(name, limit, known_length(source), rng)
        self._source = source
        self._once = isinstance(source, Iterator)
        self._ended = False
        self._fetched = 0

    @property
    def exhausted(self) -> bool:
        """Whether no more batches will come: a generator that has ended."""
        return self._once and self._ended

    def _leave_pass(self) -> None:
        if not self._once or self._ended:
            super()._leave_pass()

    def _end_pass(self) -> None:
        self._ended = True
        super()._end_pass()

    def _skip_to(self, start: int, items: Iterator[Any]) -> Iterator[Any]:
        """Yield the items from number `start` on, counting all that are fetched."""
        if self._fetched > start:
            raise StateError(f"{self._name} can't go back to batch {start}; resume with a new generator")
        if self._fetched < start:
            warn_of_skipping(self._name, self._source, start)
        for item in items:
            self._fetched += 1
            if self._fetched > start:
                yield item

    def _split(self, item: Any, number: int) -> tuple[Any, Any, Any]:
        """Return x, y and sample_weight of a batch; None for those that it lacks."""
        parts = tuple(item) if isinstance(item, tuple | list) else (item,)
        if not 1 <= len(parts) <= 3:
            raise ValueError(
                f"{self._name} must yield x, (x, y) or (x, y, sample_weight), "
                f"got {len(parts)} parts in batch {number}"
            )
        x, y, weights = (*parts, None, None)[:3]
        return x, y, weights

    def _empty(self) -> ValueError:
        kind = type(self._source).__name__
        return ValueError(f"{self._name} must yield at least one batch, got an empty {kind}")


def known_length(source: Any) -> int | None:
    """Return the length of an object; None if it has none, or can't tell it."""
    try:
        return len(source)
    except TypeError:  # Also raised by a loader over a stream.
        return None


def warn_of_skipping(name: str, source: object, batches: int) -> None:
    """Warn that a resumed epoch skips batches of a source that has no state."""
    warn(
        f"{name}, a {type(source).__name__}, has no state: the first {batches} batches of the resumed epoch "
        "are skipped. If its order is random, some samples are repeated and others left out; pass batches "
        "in a fixed order, or by number (an object with __len__ and __getitem__)"
    )
