"""The order of a loader's batches: saved when an epoch begins, and restored within it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Generator

from onstage.errors import OnstageWarning, StateError
from onstage.model import State
from onstage_torch.fingerprint import of_source
from onstage_torch.pytree import to_array
from onstage_torch.state_encoding import random_states, set_random_states

_HOST = torch.device("cpu")
_KEYS = {"random", "generators", "workers"}


class LoaderOrder:
    """The random states from which a loader draws the order of an epoch.

    A DataLoader draws the order, and the seed of its workers, when an epoch
    begins. With the generators' states of that moment an epoch continues in the
    same order: earlier batches are fetched and dropped, so that random
    transforms come out the same, also in workers.

    Parameters
    ----------
    source
        A DataLoader, or any iterable whose order follows from the global
        generators of torch, numpy and Python.
    name
        User's name of the data.
    """

    def __init__(self, source: Any, name: str) -> None:
        self._source = source
        self._name = name

    def state_dict(self) -> State:
        """Return the states; call it before the epoch is iterated."""
        return {
            "random": random_states(_HOST),
            "generators": [to_array(each.get_state()) for each in _generators(self._source)],
            "workers": self._workers_live,
        }

    @property
    def _workers_live(self) -> bool:
        """Whether workers of an earlier epoch go on: a new epoch draws no seed for them."""
        persistent = getattr(self._source, "persistent_workers", False)
        return bool(persistent) and getattr(self._source, "_iterator", None) is not None

    def check_state(self, state: Any) -> None:
        """Raise StateError if a state is not one of such a loader."""
        if not isinstance(state, dict) or _KEYS - set(state):
            raise StateError(
                f"{self._name} must be a loader, as when it was saved; resume with the same data"
            )
        if len(state["generators"]) != len(_generators(self._source)):
            raise StateError(f"{self._name} must have as many generators of its own as when it was saved")

    def resume(self, state: State, start: int, iterate: Callable[[], Iterator[Any]]) -> Iterator[Any]:
        """Begin a saved epoch at batch number `start`, and leave the global generators as they are.

        Parameters
        ----------
        state
            Result of `state_dict` at the beginning of that epoch.
        iterate
            Begins an epoch of the source.

        Warns
        -----
        OnstageWarning
            If random numbers of workers can't be restored.
        """
        now = random_states(_HOST)
        if state["workers"] and not self._workers_live:
            iterate()  # Starts the workers, as an earlier epoch did.
            self._warn(
                "the random numbers of transforms in its persistent workers", "persistent_workers=False"
            )
        if start and not getattr(self._source, "in_order", True):
            self._warn("the order of its batches", "in_order=True")
        _set_generators(self._source, state["generators"])
        set_random_states(state["random"] if start else now, _HOST)
        items = iterate()
        if start:
            for _ in islice(items, start):
                pass
            set_random_states(now, _HOST)
        return items

    def _warn(self, what: str, remedy: str) -> None:
        warnings.warn(
            f"{self._name} is resumed, but {what} can't be restored; pass {remedy} for a resume to the bit",
            OnstageWarning,
            stacklevel=2,
        )


class LoaderPosition:
    """A DataLoader in a loop of one's own, with a position that can be saved.

    Yields the loader's batches unchanged.

    Parameters
    ----------
    loader
        The DataLoader.
    """

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._order = LoaderOrder(loader, "the loader")
        self._begun: State | None = None
        self._resumed: tuple[int, State] | None = None
        self._fetched = 0

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        resumed, self._resumed = self._resumed, None
        if resumed is None:
            self._fetched, self._begun = 0, self._order.state_dict()
            items = iter(self._loader)
        else:
            self._fetched, self._begun = resumed
            items = self._order.resume(self._begun, self._fetched, lambda: iter(self._loader))
        for item in items:
            # Counted before it is handed out: a state that is saved during the
            # step continues with the next batch.
            self._fetched += 1
            yield item

    def fingerprint(self) -> str | None:
        """Return a digest of the first and the last row of a TensorDataset; None for other data."""
        return of_source(self._loader)

    def end_epoch(self) -> None:
        """Drop the rest of an epoch that was left early."""
        self._fetched, self._begun = 0, None

    def state_dict(self) -> State:
        """Return the position in the epoch, counted in batches handed out."""
        return {"in_epoch": self._fetched, "order": self._begun or self._order.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Make the next epoch the rest of the saved one; raise StateError if it is not one's own."""
        fetched = state.get("in_epoch")
        if type(fetched) is not int or fetched < 0:
            raise StateError(f"the loader's saved position must be a count of batches, got {fetched!r}")
        self._order.check_state(state.get("order"))
        self._resumed = fetched, state["order"]


def _generators(source: Any) -> list[Generator]:
    """Return the generators that belong to a loader, each once."""
    batches = getattr(source, "batch_sampler", None)
    holders = (source, getattr(source, "sampler", None), batches, getattr(batches, "sampler", None))
    found = [getattr(each, "generator", None) for each in holders]
    return list({id(each): each for each in found if isinstance(each, Generator)}.values())


def _set_generators(source: Any, states: list[Any]) -> None:
    for generator, state in zip(_generators(source), states, strict=True):
        generator.set_state(torch.tensor(state))
