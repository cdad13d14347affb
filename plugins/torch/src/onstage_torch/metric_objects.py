"""Metrics with ``update``, ``compute`` and ``reset``, such as those of torchmetrics."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from onstage.errors import StateError
from onstage.model import State
from onstage_torch import encoding


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
        if self._joined is not None:
            return lambda value=self._joined: value  # type: ignore[misc]  # typed by the callable
        state = _state_of(self._metric)
        return lambda: self._compute(self._with(state))

    def of_last_batch(self) -> float:
        """Return the value of the last batch alone."""
        alone = copy.deepcopy(self._metric)
        alone.reset()
        if self._last is not None:
            with torch.no_grad():
                alone.update(*self._last)
        return self._compute(_without_others(alone))

    def join(self) -> None:
        """Compute the value over all processes; all must call it."""
        self._joined = self._compute(self._metric)

    def state_dict(self) -> State:
        """Return the sums, for a run that is resumed in mid-epoch."""
        encoded: State = encoding.encode(_state_of(self._metric), self._name)
        return encoded

    def load_state_dict(self, state: State) -> None:
        """Restore the result of `state_dict`; raise StateError if it is of another metric."""
        own = _state_of(self._metric)
        if set(own) != set(state):
            raise StateError(f"the saved state of metric {self._name!r} is of another metric")
        for name, value in encoding.decode(state).items():
            setattr(self._metric, name, _on(self._device, value))

    def _with(self, state: dict[str, Any]) -> Any:
        clone = copy.copy(self._metric)
        for name, value in state.items():
            setattr(clone, name, value)
        return _without_others(clone)

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


def _without_others(metric: Any) -> Any:
    """Keep a copy from waiting for the other processes when it computes."""
    if hasattr(metric, "distributed_available_fn"):
        metric.distributed_available_fn = lambda: False
    return metric


def _state_of(metric: Any) -> dict[str, Any]:
    """Copy the numbers, tensors and lists of tensors among a metric's attributes."""
    return {name: _copied(value) for name, value in vars(metric).items() if _is_state(value)}


def _is_state(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(each, Tensor) for each in value)
    return isinstance(value, Tensor) or type(value) in (int, float)


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    return list(value) if isinstance(value, list) else value


def _on(device: torch.device, value: Any) -> Any:
    if isinstance(value, list):
        return [_on(device, each) for each in value]
    return value.to(device) if isinstance(value, Tensor) else value
