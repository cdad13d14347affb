"""Metrics with ``update``, ``compute`` and ``reset``, such as those of torchmetrics."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from onstage.errors import StateError
from onstage.model import State
from onstage.state import copy_state
from onstage_torch import state_encoding

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))


def is_metric_object(given: object) -> bool:
    """Return whether it keeps its own sums: ``update(outputs, targets)``, ``compute()``, ``reset()``."""
    return not isinstance(given, type) and all(
        callable(getattr(given, name, None)) for name in ("update", "compute", "reset")
    )


class MetricObject:
    """A copy of such a metric for one stage.

    A validation in the middle of an epoch has a copy of its own, so that it
    does not disturb the training's.

    Parameters
    ----------
    name
        In the logs.
    given
        The user's metric, which stays as it is.
    device
        Where outputs and targets are.
    world
        The number of processes. With several, only metrics that join their
        states themselves are taken: those of torchmetrics do.

    Raises
    ------
    TypeError
        There are several processes, and it cannot join its state.
    """

    def __init__(self, name: str, given: Any, device: torch.device, world: int = 1) -> None:
        if world > 1 and not hasattr(given, "distributed_available_fn"):
            raise TypeError(
                f"metric {name!r} must be one of torchmetrics to be joined over {world} processes, "
                f"got {type(given).__name__}"
            )
        self._name = name
        self._metric = copy.deepcopy(given)
        self._metric.reset()
        if hasattr(self._metric, "to"):
            self._metric.to(device)
        self._device = device
        self._last: tuple[Any, Any] | None = None
        self._joined: float | None = None

    def update(self, outputs: Any, targets: Any) -> None:
        """Add a batch."""
        with torch.no_grad():
            self._metric.update(outputs, targets)
        self._last = outputs, targets

    def snapshot(self) -> Callable[[], float]:
        """Return a function that computes the value as of now, whenever it is called."""
        if (joined := self._joined) is not None:
            return lambda: joined
        if self._is_plain:
            state = {name: _copied(value) for name, value in self._metric.metric_state.items()}
            return lambda: self._compute(self._with(state))
        whole = _alone(copy.deepcopy(self._metric))
        return lambda: self._compute(whole)

    def of_last_batch(self) -> float:
        """Return the value of the last batch alone."""
        alone = copy.deepcopy(self._metric)
        alone.reset()
        if self._last is not None:
            with torch.no_grad():
                alone.update(*self._last)
        return self._compute(_alone(alone))

    def join(self) -> None:
        """Compute the value over all processes; all must call it."""
        self._joined = self._compute(self._metric)

    def state_dict(self) -> State:
        """Copy the sums, for a run that is resumed in mid-epoch.

        Raises
        ------
        TypeError
            It holds something other than tensors and plain values.
        """
        return copy_state({path: _attributes(part) for path, part in self._parts().items()})

    def load_state_dict(self, state: State) -> None:
        """Restore the result of `state_dict`; raise StateError if it is of another metric."""
        parts = self._parts()
        if set(parts) != set(state):
            raise StateError(f"the saved state of metric {self._name!r} is of another metric")
        for path, attributes in state.items():
            for name, saved in attributes.items():
                value = state_encoding.decode(saved)
                of_numpy = isinstance(getattr(parts[path], name, None), np.ndarray)
                setattr(parts[path], name, value.numpy() if of_numpy else _on(self._device, value))

    def _parts(self) -> dict[str, Any]:
        """Return the metric and those that it is made of, by path."""
        return (
            dict(self._metric.named_modules()) if isinstance(self._metric, nn.Module) else {"": self._metric}
        )

    @property
    def _is_plain(self) -> bool:
        """Whether its state is all in torchmetrics' ``metric_state``."""
        return hasattr(self._metric, "metric_state") and len(self._parts()) == 1

    def _with(self, state: dict[str, Any]) -> Any:
        clone = copy.copy(self._metric)
        for name, value in state.items():
            setattr(clone, name, value)
        return _alone(clone)

    def _compute(self, metric: Any) -> float:
        value = metric.compute()
        if isinstance(value, Tensor) and value.numel() == 1:
            return float(value)
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError):
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(
                f"metric {self._name!r} must compute one number, got {shape}; "
                "choose an average, or log it from a callback"
            ) from None


def _alone(metric: Any) -> Any:
    """Keep a copy from waiting for the other processes when it computes."""
    if hasattr(metric, "distributed_available_fn"):
        metric.distributed_available_fn = lambda: False
    return metric


def _attributes(owner: Any) -> State:
    """Return the attributes that are data; those of a module may be something else, too."""
    found: State = {}
    for name, value in vars(owner).items():
        if name in _OF_EVERY_MODULE or callable(value):
            continue
        try:
            found[name] = state_encoding.encode(value, name)
        except TypeError:
            if not isinstance(owner, nn.Module):
                raise
    return found


def _copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else list(value)


def _on(device: torch.device, value: Any) -> Any:
    if isinstance(value, list):
        return [_on(device, each) for each in value]
    return value.to(device) if isinstance(value, Tensor) else value
