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
    """Return whether it has ``update(outputs, targets)``, ``compute()`` and ``reset()``."""
    return not isinstance(given, type) and all(
        callable(getattr(given, name, None)) for name in ("update", "compute", "reset")
    )


class MetricObject:
    """A copy of such a metric for one stage.

    A validation within an epoch has its own copy, so that it does not disturb
    that of the training.

    Parameters
    ----------
    name
        Name in the logs.
    given
        The user's metric, which is not changed.
    device
        Device of outputs and targets.
    world
        Number of processes. With several, only metrics that combine their own
        states are accepted: those of torchmetrics do.

    Raises
    ------
    TypeError
        If there are several processes, and it can't combine its states.
    """

    def __init__(self, name: str, given: Any, device: torch.device, world: int = 1) -> None:
        if world > 1 and not hasattr(given, "distributed_available_fn"):
            raise TypeError(
                f"metric {name!r} must be one of torchmetrics with {world} processes, "
                f"got {type(given).__name__}"
            )
        self._name = name
        self._metric = copy.deepcopy(given)
        self._metric.reset()
        if hasattr(self._metric, "to"):
            self._metric.to(device)
        self._device = device
        self._last: tuple[Any, Any] | None = None
        self._combined: float | None = None

    def update(self, outputs: Any, targets: Any) -> None:
        """Add a batch."""
        with torch.no_grad():
            self._metric.update(outputs, targets)
        self._last = outputs, targets

    def snapshot(self) -> Callable[[], float]:
        """Return a function that computes the value as of now, also if called later."""
        if (combined := self._combined) is not None:
            return lambda: combined
        if self._is_plain:
            state = {name: _copy(value) for name, value in self._metric.metric_state.items()}
            return lambda: self._compute(self._with(state))
        whole = _without_sync(copy.deepcopy(self._metric))
        return lambda: self._compute(whole)

    def of_last_batch(self) -> float:
        """Return the value of the last batch alone."""
        metric = copy.deepcopy(self._metric)
        metric.reset()
        if self._last is not None:
            with torch.no_grad():
                metric.update(*self._last)
        return self._compute(_without_sync(metric))

    def combine(self) -> None:
        """Compute the value over all processes; all must call it."""
        self._combined = self._compute(self._metric)

    def state_dict(self) -> State:
        """Return a copy of the sums, for a run that is resumed within an epoch.

        Raises
        ------
        TypeError
            If it holds something other than tensors and plain values.
        """
        return copy_state({path: _attributes(part) for path, part in self._parts().items()})

    def load_state_dict(self, state: State) -> None:
        """Restore a result of `state_dict`; raise StateError if it is of another metric."""
        parts = self._parts()
        if set(parts) != set(state):
            raise StateError(f"the saved state of metric {self._name!r} is of another metric")
        for path, attributes in state.items():
            for name, saved in attributes.items():
                value = state_encoding.decode(saved)
                of_numpy = isinstance(getattr(parts[path], name, None), np.ndarray)
                setattr(parts[path], name, value.numpy() if of_numpy else _to(self._device, value))

    def _parts(self) -> dict[str, Any]:
        """Return the metric and the metrics within it, by path."""
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
        return _without_sync(clone)

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


def _without_sync(metric: Any) -> Any:
    """Return the copy, changed not to wait for other processes when it computes."""
    if hasattr(metric, "distributed_available_fn"):
        metric.distributed_available_fn = lambda: False
    return metric


def _attributes(owner: Any) -> State:
    """Return the attributes that are data; others are skipped in a module only."""
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


def _copy(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else list(value)


def _to(device: torch.device, value: Any) -> Any:
    if isinstance(value, list):
        return [_to(device, each) for each in value]
    return value.to(device) if isinstance(value, Tensor) else value
