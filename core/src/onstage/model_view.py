"""ModelView: the model of a custom training loop, as callbacks see it."""

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
from onstage.validation import validate_state_path

StrPath = str | PathLike[str]


class ModelView:
    """A model for callbacks, made of functions of a custom training loop.

    Pass only the functions that your callbacks need. If a callback needs
    another one, the run raises TypeError when it starts and names it.

    Parameters
    ----------
    get_weights
        Returns the weights: arrays of any library, in a fixed order.
    set_weights
        Receives numpy arrays in that order, and replaces the weights by them.
    get_learning_rate
        Returns the current rate.
    set_learning_rate
        Receives the rate of the following steps. Without it, the rate is
        taken to follow a schedule and cannot be set.
    get_state
        Returns the state that a resumed training needs (weights, optimizer,
        random states): a tree of dicts with str keys, lists, numbers, text and
        arrays of any library.
    set_state
        Receives such a tree, with numpy arrays.
    metric_directions
        Metric name to ``"min"`` or ``"max"``; needed for callbacks with
        ``mode="auto"`` if the name does not tell.

    Attributes
    ----------
    stop_training
        Set by callbacks to stop; the `onstage.Run` reads it.

    Raises
    ------
    TypeError, ValueError
        If a function is not callable, or set_learning_rate has no get_learning_rate.

    Examples
    --------
    >>> weights = {"kernel": np.zeros(3)}
    >>> view = ModelView(
    ...     get_weights=weights.values,
    ...     set_weights=lambda new: weights.update(kernel=new[0]),
    ... )
    >>> view.set_weights([np.ones(3)])
    >>> view.get_weights()
    [array([1., 1., 1.])]
    >>> hasattr(view, "learning_rate")
    False
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
        # Set on the object, so that hasattr() is False for missing functions.
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
            self.snapshot_writer = _snapshot_writer
        if set_state is not None:
            self.load_state_dict = set_state
            self.load = lambda filepath: set_state(storage.load(filepath))

    @property
    def learning_rate(self) -> float:
        """Current rate. Setting it raises TypeError without set_learning_rate."""
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
        """Return the state that ``save``, or ``save_weights``, writes; arrays are not copied."""
        return {"weights": self.weights_view()} if weights_only else self._state_view()

    def metric_directions(self) -> Mapping[str, Direction | None]:
        """Return the direction of improvement of the metrics that were given one."""
        return dict(self._directions)


def _save(content: Callable[[], State], filepath: StrPath, overwrite: bool = True) -> None:
    """Write a file atomically. Raise FileExistsError if it exists and overwrite is False."""
    write = _snapshot_writer(filepath)
    if not overwrite and Path(filepath).exists():
        raise FileExistsError(f"filepath {str(filepath)!r} exists; pass overwrite=True to replace it")
    write(filepath, content())


def _snapshot_writer(filepath: StrPath, weights_only: bool = False) -> Callable[[StrPath, State], None]:
    validate_state_path(filepath)
    return storage.save


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
    """Convert the arrays of any library in a tree to numpy arrays."""
    if isinstance(tree, Mapping):
        return {key: _plain(item) for key, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_plain(item) for item in tree]
    return np.asarray(tree) if hasattr(tree, "__array__") else tree
