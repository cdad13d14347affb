"""Batches from a DataLoader, or any iterable of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sized
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from onstage.data import SourceBatches, choose_batch_size, class_weight_to_sample_weights, known_length
from onstage.errors import StateError
from onstage.model import Batch, State
from onstage_torch.data.device import as_tensor
from onstage_torch.data.loader_order import LoaderOrder
from onstage_torch.data.sharding import shard_loader
from onstage_torch.fingerprint import of_source
from onstage_torch.pytree import tree_leaves

Agree: TypeAlias = Callable[[bool], bool]


class LoaderBatches(SourceBatches):
    """Batches of a loader, in the loader's own order.

    An epoch resumed in the middle continues in the same order, see `LoaderOrder`.

    Parameters
    ----------
    source
        A DataLoader, an iterable, a generator, or an object with ``__len__``
        (batches) and ``__getitem__`` (batch number to batch).
    limit, name
        As in `onstage.data.batches.BatchesBase`.
    class_weight
        Class number to weight, from which sample weights are made.
    sized_by_steps
        Whether the loader's batch size was chosen so that its dataset makes
        `limit` batches; each of several processes then chooses it anew.
    """

    x_spec: Any = None
    y_spec: Any = None
    y_range = None

    def __init__(
        self,
        source: Any,
        *,
        limit: int | None,
        class_weight: dict[int, float] | None,
        name: str,
        sized_by_steps: bool = False,
    ) -> None:
        super().__init__(source, name=name, limit=limit)
        self._class_weight = class_weight
        self._sized_by_steps = sized_by_steps
        self._passes = 0
        self._saved: State | None = None
        self._must_be_whole = False
        self._agree: Agree | None = None
        self._use(source)
        if self._length == 0:
            raise self._empty()

    def _use(self, source: Any) -> None:
        self._source = source
        self._order = LoaderOrder(source, self._name)
        self._length = known_length(source)
        size = getattr(source, "batch_size", None)
        self.batch_size = size if isinstance(size, int) else None
        dataset = getattr(source, "dataset", None)
        self.samples = len(dataset) if isinstance(dataset, Sized) and known_length(dataset) else None

    def fingerprint(self) -> str | None:
        """Return a digest of the first and the last row of a TensorDataset; None for other data."""
        return of_source(self._source)

    def shard(self, rank: int, world: int, seed: int, *, training: bool, agree: Agree | None = None) -> None:
        """Keep one process's part.

        A DataLoader gets a sampler for it. An iterable must yield each process
        its own batches, and in training equally many in each unless they agree.

        Parameters
        ----------
        agree
            Returns whether its argument is true in all processes: a pass then
            ends in all as soon as it ends in one. None if that is an error.

        Raises
        ------
        ValueError
            If its sampler can't be divided, or it has no length.
        """
        source = self._source
        if isinstance(source, DataLoader) and not isinstance(source.dataset, IterableDataset):
            size = None
            if self._sized_by_steps:
                size = choose_batch_size(-(-(self.samples or 1) // world), None, self._limit)
                # Each process evaluates all of its rows, and some may have one batch less.
                self._limit = self._limit if training else None
            own = shard_loader(source, rank, world, seed, training=training, name=self._name, batch_size=size)
            self._use(own)
            unequal = training and own is source  # Else a sampler makes them equal.
        else:
            unequal = training
            if training and self.steps is None and agree is None:
                raise ValueError(
                    f"{self._name} must have a length, or steps_per_epoch be given, if several processes "
                    "train: each must make as many steps as the others; uneven='shortest' ends the epoch "
                    "with the first"
                )
        self._agree = agree if unequal else None
        self._must_be_whole = unequal and agree is None

    def _end_pass(self) -> None:
        wanted = self._limit or self._length
        if self._must_be_whole and (self._in_epoch if self._limit else self._in_pass) != wanted:
            raise RuntimeError(
                f"{self._name} ended in this process after {self._in_epoch} of {wanted} batches, "
                "and the other processes would wait for it; make it yield equally many in each, or pass "
                "uneven='shortest' to the model to end the epoch with the first"
            )
        super()._end_pass()

    def _open_pass(self, start: int) -> Iterator[Batch]:
        own = self._own_pass(start)
        return own if self._agree is None else _together(own, self._agree)

    def _own_pass(self, start: int) -> Iterator[Batch]:
        if self._once:
            if self.exhausted and not start:
                return iter(())
            return map(self._check, self._skip_to(start, self._source))
        saved, self._saved = self._saved, None
        if saved is None:
            return map(self._check, self._items())
        self._passes = saved["passes"]
        if start:
            # A position in this pass counts from the pass's beginning, not from here.
            self._rng_at_pass = saved
        return map(self._check, self._order.resume(saved, start, self._items))

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

    def _check(self, item: Any) -> Batch:
        """Return a batch as ``(x, y, sample_weight)``; raise if it is not one."""
        if self._class_weight is None and type(item) in (tuple, list) and len(item) == 2:
            x, y = item
            if type(x) is Tensor and type(y) is Tensor and x.shape[:1] == y.shape[:1]:
                return x, y, None  # Nearly every loader yields these: no further check.
        x, y, weights = map(_as_part, self._split(item, self._in_pass))
        if isinstance(x, Tensor) and isinstance(y, Tensor) and len(x) != len(y):
            raise ValueError(
                f"y must be as long as x in each batch of {self._name}, got {len(y)} against {len(x)}"
            )
        if self._class_weight is not None:
            if weights is not None or not isinstance(y, Tensor | np.ndarray):
                raise ValueError(
                    "class_weight needs y as one array of class numbers, and no sample_weight beside it"
                )
            weights = as_tensor(class_weight_to_sample_weights(np.asarray(y), self._class_weight, "y"))
        return x, y, weights

    def _rng_state(self) -> State:
        return {"passes": self._passes, **self._order.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Make the next epoch the rest of the saved one."""
        saved = state.get("rng")
        self._order.check_state(saved)
        if not isinstance(saved, dict) or type(saved.get("passes")) is not int:
            raise StateError(f"{self._name} must have a number of passes in its saved position")
        super().load_state_dict(state | {"rng": None})
        self._saved = saved


def _together(batches: Iterator[Batch], agree: Agree) -> Iterator[Batch]:
    """Yield batches as long as all processes have one."""
    for batch in batches:
        if not agree(True):
            return
        yield batch
    agree(False)


def _as_part(part: Any) -> Any:
    """Return tensors, arrays and nests of them unchanged, lists of numbers as an array."""
    if isinstance(part, Tensor | np.ndarray | Mapping) or part is None:
        return part
    if all(isinstance(leaf, Tensor | np.ndarray) for leaf in tree_leaves(part)):
        return part
    return np.asarray(part)
