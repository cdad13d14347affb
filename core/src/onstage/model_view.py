"""ModelView: a few functions of a loop of one's own, as callbacks see a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from onstage.errors import StateError
from onstage.model import Array, Direction, State
from onstage.state import storage
from onstage.state._tree import copy_state

StrPath = str | PathLike[str]


class ModelView:
    """What callbacks may ask of a model, made of functions that you have.

    Give what your callbacks need, and no more: a callback that needs something
    that isn't given is refused when the run starts, with the function's name.

    Parameters
    ----------
    get_weights
        Gives the weights: arrays of any library, in a fixed order.
    set_weights
        Takes a list of numpy arrays in that order, to go on from.
    get_learning_rate
        Gives the rate now.
    set_learning_rate
        Takes the rate of the steps to come. Without it the rate counts as one
        that follows a schedule.
    get_state
        Gives all that a resumed training needs, weights and optimizer and random
        states: a tree of dicts (keys are str), lists, numbers, text and arrays.
    set_state
        Takes such a tree, with numpy arrays.
    metric_directions
        Metric to ``"min"`` or ``"max"``, for callbacks with ``mode="auto"``
        whose metric's name doesn't tell.

    Attributes
    ----------
    stop_training
        Set by a callback that wants the end; the `Run` looks at it.

    Examples
    --------
    >>> weights = [np.zeros(3)]
    >>> view = ModelView(get_weights=lambda: weights, set_weights=lambda new: weights.__setitem__(0, new[0]))
    >>> hasattr(view, "set_weights"), hasattr(view, "learning_rate")
    (True, False)
    """

    def __init__(
        self,
        *,
        get_weights: Callable[[], Iterable[Any]] | None = None,
        set_weights: Callable[[list[Array]], object] | None = None,
        get_learning_rate: Callable[[], Any] | None = None,
        set_learning_rate: Callable[[float], object] | None = None,
        get_state: Callable[[], Mapping[str, Any]] | None = None,
        set_state: Callable[[State], object] | None = None,
        metric_directions: Mapping[str, Direction] | None = None,
    ) -> None:
        self.stop_training = False
        given = {
            "get_weights": get_weights,
            "set_weights": set_weights,
            "get_learning_rate": get_learning_rate,
            "set_learning_rate": set_learning_rate,
            "get_state": get_state,
            "set_state": set_state,
        }
        for name, function in given.items():
            if function is not None and not callable(function):
                raise TypeError(f"{name} must be a function, got {function!r}")
        if set_learning_rate is not None and get_learning_rate is None:
            raise ValueError("get_learning_rate must be given beside set_learning_rate, got None")
        self._get_learning_rate, self._set_learning_rate = get_learning_rate, set_learning_rate
        self._directions = dict(metric_directions or {})
        # Set on the object, so that hasattr() tells what there is.
        if get_weights is not None:
            self.weights_view = partial(_arrays, get_weights)
            self.get_weights = partial(_copied, get_weights)
            self.save_weights = partial(_save, partial(self._snapshot, True))
        if set_weights is not None:
            self.set_weights = lambda weights: set_weights(list(weights))
            self.load_weights = lambda filepath: set_weights(_weights_in(filepath))
        if get_state is not None:
            self._state_view: Callable[[], State] = lambda: _plain(get_state())
            self.state_dict: Callable[[], State] = lambda: copy_state(self._state_view())
            self.save = partial(_save, self._state_view)
        if get_weights is not None or get_state is not None:
            self.snapshot = self._snapshot
        if set_state is not None:
            self.load_state_dict = set_state
            self.load = lambda filepath: set_state(storage.load(filepath))

    @property
    def learning_rate(self) -> float:
        """The rate now; setting it raises TypeError where it follows a schedule."""
        if self._get_learning_rate is None:
            raise AttributeError("learning_rate needs ModelView(get_learning_rate=…), which was not given")
        return float(self._get_learning_rate())

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        if self._set_learning_rate is None:
            raise TypeError(
                f"learning_rate cannot be set to {rate!r}: it follows a schedule, or "
                "ModelView(set_learning_rate=…) is missing"
            )
        self._set_learning_rate(float(rate))

    def _snapshot(self, weights_only: bool = False) -> State:
        """Give what ``save``, or ``save_weights``, writes; arrays of its owner's are not copied."""
        return {"weights": self.weights_view()} if weights_only else self._state_view()

    def metric_directions(self) -> Mapping[str, Direction | None]:
        """Tell which way each metric is better, as far as that was given."""
        return dict(self._directions)


def _save(content: Callable[[], State], filepath: StrPath, overwrite: bool = True) -> None:
    """Write a file, atomically; raises FileExistsError where it must not be replaced."""
    if not overwrite and Path(filepath).exists():
        raise FileExistsError(f"filepath {str(filepath)!r} exists; pass overwrite=True to replace it")
    storage.save(filepath, content())


def _arrays(get_weights: Callable[[], Iterable[Any]]) -> list[Array]:
    return [np.asarray(each) for each in get_weights()]


def _copied(get_weights: Callable[[], Iterable[Any]]) -> list[Array]:
    return copy_state(_arrays(get_weights))


def _weights_in(filepath: StrPath) -> list[Array]:
    weights = storage.load(filepath).get("weights")
    if not isinstance(weights, list):
        raise StateError(f"{str(filepath)!r} holds no weights; files of save_weights do")
    return weights


def _plain(tree: Any) -> Any:
    """Turn arrays of any library, anywhere in a tree, into numpy's."""
    if isinstance(tree, Mapping):
        return {key: _plain(item) for key, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_plain(item) for item in tree]
    return np.asarray(tree) if hasattr(tree, "__array__") else tree
