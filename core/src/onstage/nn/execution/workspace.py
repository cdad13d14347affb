"""Workspace: the memory of a model's plans, of which one runs at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from onstage.model import Array

_SMALL = 65536
"""Up to so many bytes a buffer is allocated by itself: nothing to save."""


class Workspace:
    """Buffers whose contents live within one step; plans share them.

    A short last batch, a validation and a prediction use the memory of the
    training's batches, as each plan begins with all blocks free again.
    """

    def __init__(self) -> None:
        self._blocks: list[Array] = []
        self._free: list[Array] = []
        self._scratch: dict[int, Array] = {}

    def begin_plan(self) -> None:
        """Let the next buffers use the memory of all earlier ones."""
        self._free = sorted(self._blocks, key=len)

    def empty(self, shape: Sequence[int | None], dtype: DTypeLike) -> Array:
        """Return a buffer with any contents, which no other buffer of the same plan overlaps."""
        kind, lengths = np.dtype(dtype), tuple(length or 0 for length in shape)
        size = math.prod(lengths) * kind.itemsize
        if size <= _SMALL:
            return np.empty(lengths, kind)
        fitting = next((n for n, block in enumerate(self._free) if len(block) >= size), None)
        if fitting is None:
            block = np.empty(size, np.uint8)
            self._blocks.append(block)
        else:
            block = self._free.pop(fitting)
        return block[:size].view(kind).reshape(lengths)

    def empty_like(self, x: Array, dtype: DTypeLike) -> Array:
        """Return a buffer with the shape of x, and its order of the axes in memory."""
        order = sorted(range(x.ndim), key=lambda axis: -x.strides[axis])
        made = self.empty(tuple(x.shape[axis] for axis in order), dtype)
        return made.transpose(np.argsort(order))

    def scratch(self, thread: int, size: int, dtype: np.dtype[Any]) -> Array:
        """Return a flat buffer for one call of one op, the same for all ops of a thread."""
        buffer = self._scratch.get(thread)
        if buffer is None or buffer.size < size or buffer.dtype != dtype:
            buffer = self._scratch[thread] = np.empty(size, dtype)
        return buffer[:size]
