"""Batches from what gives batches itself: a DataLoader, or any iterable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sized
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, IterableDataset

from onstage.data import weights_of_classes
from onstage.data.batches import BatchesBase
from onstage.errors import StateError
from onstage.model import Batch, State
from onstage_torch.data import sharding
from onstage_torch.data.device import as_tensor
from onstage_torch.pytree import to_array, tree_leaves
from onstage_torch.state_encoding import random_states, set_random_states

_HOST = torch.device("cpu")


class LoaderBatches(BatchesBase):
    """Batches of a loader, in its own order.

    A DataLoader draws its order from a generator when an epoch begins. The
    generators are saved as they were then, so that an epoch resumed in the
    middle goes on in the same order: what was done is fetched and dropped.

    Parameters
    ----------
    source
        A DataLoader, an iterable, a generator, or an object with ``__len__``
        (batches) and ``__getitem__`` (batch number to batch).
    limit, name
        As in `onstage.data.batches.BatchesBase`.
    class_weight
        Class number to weight; makes the sample weights.
    """

    x_spec: Any = None
    y_spec: Any = None
    y_range = None

    def __init__(
        self, source: Any, *, limit: int | None, class_weight: dict[int, float] | None, name: str
    ) -> None:
        super().__init__(name, limit, None, None)
        self._once = isinstance(source, Iterator)
        self._class_weight = class_weight
        self._ended = False
        self._fetched = 0
        self._passes = 0
        self._saved: State | None = None
        self._whole_in_all = False
        self._take(source)
        if self._length == 0:
            raise ValueError(f"{name} must give at least one batch, got an empty {type(source).__name__}")

    def _take(self, source: Any) -> None:
        self._source = source
        self._length = _length(source)
        size = getattr(source, "batch_size", None)
        self.batch_size = size if isinstance(size, int) else None
        dataset = getattr(source, "dataset", None)
        self.samples = len(dataset) if isinstance(dataset, Sized) and _length(dataset) else None

    @property
    def exhausted(self) -> bool:
        """Whether no batch will come any more: a generator that has ended."""
        return self._once and self._ended

    def shard(self, rank: int, world: int, seed: int, *, training: bool) -> None:
        """Give out one process's part.

        A DataLoader gets a sampler for it. An iterable must give each process
        its own batches, and in training as many in each.

        Raises
        ------
        ValueError
            It has a sampler that can't be divided, or no length.
        """
        source = self._source
        if isinstance(source, DataLoader) and not isinstance(source.dataset, IterableDataset):
            self._take(sharding.sharded(source, rank, world, seed, training=training, name=self._name))
        elif training and self.steps is None:
            raise ValueError(
                f"{self._name} must have a length, or steps_per_epoch be given, where several processes "
                "train: each must make as many steps as the others"
            )
        self._whole_in_all = training

    def _leave_pass(self) -> None:
        # A generator has one pass only, which no epoch and no restart can leave.
        if not self._once or self._ended:
            super()._leave_pass()

    def _end_pass(self) -> None:
        self._ended = True
        wanted = self._limit or self._length
        if self._whole_in_all and (self._in_epoch if self._limit else self._in_pass) != wanted:
            raise RuntimeError(
                f"{self._name} ended in this process after {self._in_epoch} of {wanted} batches, "
                "and the other processes would wait for it; give each as many batches"
            )
        super()._end_pass()

    def _open_pass(self, start: int) -> Iterator[Batch]:
        if self._once:
            return self._rest_of_only_pass(start)
        saved, self._saved = self._saved, None
        if saved is None:
            return map(self._batch, self._items())
        self._passes = saved["passes"]
        _set_generators(self._source, saved["generators"])
        if not start:
            return map(self._batch, self._items())
        # The place of this pass is told from where it began, not from here.
        self._rng_at_pass = saved
        now = random_states(_HOST)
        set_random_states(saved["random"], _HOST)
        items = self._items()
        for _ in range(start):
            next(items, None)
        set_random_states(now, _HOST)
        return map(self._batch, items)

    def _rest_of_only_pass(self, start: int) -> Iterator[Batch]:
        if self._ended and not start:
            return
        if self._fetched > start:
            raise StateError(f"{self._name} can't go back to batch {start}; resume with a new generator")
        for item in self._source:
            self._fetched += 1
            if self._fetched > start:
                yield self._batch(item)

    def _items(self) -> Iterator[Any]:
        source = self._source
        for name in ("sampler", "batch_sampler"):
            set_epoch = getattr(getattr(source, name, None), "set_epoch", None)
            if set_epoch is not None:
                set_epoch(self._passes)
        self._passes += 1
        if hasattr(source, "__iter__"):
            return iter(source)
        return (source[number] for number in range(len(source)))

    def _batch(self, item: Any) -> Batch:
        if self._class_weight is None and type(item) in (tuple, list) and len(item) == 2:
            x, y = item
            if type(x) is Tensor and type(y) is Tensor and x.shape[:1] == y.shape[:1]:
                return x, y, None  # What nearly every loader gives needs no words.
        parts = tuple(item) if isinstance(item, tuple | list) else (item,)
        if not 1 <= len(parts) <= 3:
            raise ValueError(
                f"{self._name} must give x, (x, y) or (x, y, sample_weight), got a batch of {len(parts)}"
            )
        x, y, weights = (*map(_as_part, parts), None, None)[:3]
        if isinstance(x, Tensor) and isinstance(y, Tensor) and len(x) != len(y):
            raise ValueError(
                f"y must be as long as x in each batch of {self._name}, got {len(y)} against {len(x)}"
            )
        if self._class_weight is not None:
            if weights is not None or not isinstance(y, Tensor | np.ndarray):
                raise ValueError(
                    "class_weight needs y as one array of class numbers, and no sample_weight beside it"
                )
            weights = as_tensor(weights_of_classes(np.asarray(y), self._class_weight, "y"))
        return x, y, weights

    def _rng_state(self) -> State:
        return {
            "passes": self._passes,
            "random": random_states(_HOST),
            "generators": [to_array(each.get_state()) for each in _generators(self._source)],
        }

    def load_state_dict(self, state: State) -> None:
        """Make the next epoch the rest of the one that was going on."""
        saved = state.get("rng")
        if not isinstance(saved, dict) or {"passes", "random", "generators"} - set(saved):
            raise StateError(
                f"{self._name} must be a loader, as when it was saved; resume with the same data"
            )
        if len(saved["generators"]) != len(_generators(self._source)):
            raise StateError(f"{self._name} must have as many generators of its own as when it was saved")
        super().load_state_dict(state | {"rng": None})
        self._saved = saved


def _length(source: Any) -> int | None:
    try:
        return len(source)
    except TypeError:  # It has none, or (a loader over a stream) can't tell it.
        return None


def _generators(source: Any) -> list[Generator]:
    """Find the generators of a loader's own, each once."""
    batches = getattr(source, "batch_sampler", None)
    holders = (source, getattr(source, "sampler", None), batches, getattr(batches, "sampler", None))
    found = [getattr(each, "generator", None) for each in holders]
    return list({id(each): each for each in found if isinstance(each, Generator)}.values())


def _set_generators(source: Any, states: list[Any]) -> None:
    for generator, state in zip(_generators(source), states, strict=True):
        generator.set_state(torch.tensor(state))


def _as_part(part: Any) -> Any:
    """Give tensors, arrays and nests of them as they are, lists of numbers as an array."""
    if isinstance(part, Tensor | np.ndarray | Mapping) or part is None:
        return part
    if all(isinstance(leaf, Tensor | np.ndarray) for leaf in tree_leaves(part)):
        return part
    return np.asarray(part)
