"""Batches of tensors in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from onstage.data import label_range
from onstage.data.batches import BatchesBase, Spec
from onstage.model import Batch
from onstage_torch.data.device import copy_async
from onstage_torch.fingerprint import of_rows
from onstage_torch.pytree import map_leaves, sample_count, tree_leaves

Orders: TypeAlias = Mapping[torch.device, Tensor]
"""The order of a pass, on each device that has rows; none if it is that of the rows."""


class BatchShard(tuple[Any, Any, Any]):
    """One process's part of a batch.

    Attributes
    ----------
    joined
        Samples in the parts of all processes.
    empty
        Whether its one row is a placeholder, not to be counted.
    """

    joined: int
    empty: bool

    def loss_factor(self, world: int) -> float:
        """Return the factor of this part's mean loss if `world` parts are averaged equally."""
        return 0.0 if self.empty else sample_count(self[0]) * world / self.joined


class TensorBatches(BatchesBase):
    """Batches of tensors, gathered in a new order each pass if `rng` is given.

    Every batch has memory of its own, except those of an unshuffled pass,
    which are views.

    Parameters
    ----------
    parts
        ``(x, y, sample_weight)``, each a tensor, a nest of them, or None; of
        equal length.
    batch_size
        At least 1. With several processes, the size for all of them together.
    rng, limit, name
        As in `onstage.data.batches.BatchesBase`.
    pinned
        Whether rows on the CPU are gathered in pinned memory, from which a GPU
        copies while the host goes on. torch uses it again after the copy, so
        that a few buffers take turns.
    """

    def __init__(
        self,
        parts: tuple[Any, Any, Any],
        *,
        batch_size: int,
        rng: np.random.Generator | None,
        limit: int | None,
        name: str,
        pinned: bool = False,
    ) -> None:
        first: Tensor = next(tree_leaves(parts[0]))
        self.samples = self._n = len(first)
        self.batch_size = self._size = batch_size
        super().__init__(name, limit, -(-self._n // batch_size), rng)
        self.x_spec = Spec(tuple(first.shape[1:]), first.dtype)
        y = next(tree_leaves(parts[1]), None)
        self.y_spec = None if y is None else Spec(tuple(y.shape[1:]), y.dtype)
        self._parts = parts
        self._pinned = pinned
        self._rank, self._world, self._keep_empty = 0, 1, False

    def fingerprint(self) -> str:
        """Return a digest of the first and the last row, to compare with the data of a saved run."""
        return of_rows(self._parts)

    @property
    def y_range(self) -> tuple[int, int] | None:
        """Lowest and highest of integer labels on the CPU, among the first 2**26."""
        y = self._parts[1]
        return label_range(y.numpy()) if isinstance(y, Tensor) and y.device.type == "cpu" else None

    def shard(self, rank: int, world: int, seed: int, *, training: bool, agree: object = None) -> None:
        """Keep one process's part of each batch: every world-th row.

        In training a process without a row gets the batch's first, marked as
        empty, since all must take part in each step, so that they have nothing
        to agree on. An evaluation of fewer samples than processes is not
        divided; the means are the same.
        """
        if training or self._n >= world:
            self._rank, self._world, self._keep_empty = rank, world, training
        if not training and self._limit == self._length:
            self._limit = None  # A process may have no row in the last batch.

    def _open_pass(self, start: int) -> Iterator[Batch]:
        # Drawn here, not in the generator: opening the pass must draw the order.
        if self._rng is None:
            return self._cut(start, {})
        order = torch.from_numpy(self._rng.permutation(self._n))
        devices = {leaf.device for leaf in tree_leaves(self._parts)}
        return self._cut(start, {device: copy_async(order, device) for device in devices})

    def _cut(self, start: int, orders: Orders) -> Iterator[Batch]:
        size = self._size
        for begin in range(start * size, self._n, size):
            rows = slice(begin, min(begin + size, self._n))
            if self._world == 1:
                yield self._pick(rows, orders)
                continue
            joined = rows.stop - begin
            empty = self._rank >= joined
            if empty and not self._keep_empty:
                return
            own = slice(begin + (0 if empty else self._rank), rows.stop, self._world)
            shard = BatchShard(self._pick(own, orders))
            shard.joined, shard.empty = joined, empty
            yield shard

    def _pick(self, rows: slice, orders: Orders) -> Batch:
        if not orders:
            picked = map_leaves(lambda leaf: leaf[rows], self._parts)
        else:
            chosen = {device: order[rows] for device, order in orders.items()}
            picked = map_leaves(lambda leaf: self._gather(leaf, chosen[leaf.device]), self._parts)
        x, y, weights = picked
        return x, y, weights

    def _gather(self, leaf: Tensor, rows: Tensor) -> Tensor:
        if not self._pinned or leaf.device.type != "cpu":
            return leaf.index_select(0, rows)
        gathered = torch.empty((len(rows), *leaf.shape[1:]), dtype=leaf.dtype, pin_memory=True)
        return torch.index_select(leaf.detach(), 0, rows, out=gathered)
