"""State of a model: its parts, checks of a saved one, copies into tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from onstage.errors import StateError, did_you_mean
from onstage.model import State


class Stateful(Protocol):
    """A part of a model whose state is saved with the model's."""

    def state_dict(self) -> State:
        """Return the state; arrays may be on the tensors' own memory."""
        ...

    def check_state(self, state: State) -> None:
        """Raise StateError if `load_state_dict` would fail."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Restore a result of `state_dict`, within the state of the model."""
        ...


def copy_weights(weights: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Copy arrays into the tensors of the same names.

    Raises
    ------
    ValueError
        If a shape differs. Nothing is changed then.
    """
    for name, tensor in tensors.items():
        if tuple(np.shape(weights[name])) != tuple(tensor.shape):
            raise ValueError(_shape_message(name, tensor, weights[name]))
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(torch.tensor(np.asarray(weights[name])))


def check_weights(
    weights: Mapping[str, Any], tensors: Mapping[str, Tensor], owner: str = "the module's"
) -> None:
    """Raise StateError unless names and shapes are the same."""
    for name in sorted(set(tensors) ^ set(weights)):
        others = set(weights if name in tensors else tensors) - (set(tensors) & set(weights))
        problem = "is missing in the file" if name in tensors else f"is not {owner}"
        raise StateError(f"weight {name!r} {problem}{did_you_mean(name, others)}")
    for name, tensor in tensors.items():
        if tuple(np.shape(weights[name])) != tuple(tensor.shape):
            raise StateError(_shape_message(name, tensor, weights[name]))


def _shape_message(name: str, tensor: Tensor, weight: Any) -> str:
    return f"{name} must have shape {tuple(tensor.shape)}, got {tuple(np.shape(weight))}"


def check_optimizer(saved: Any, optimizer: torch.optim.Optimizer) -> None:
    """Raise StateError if a saved state is of another optimizer."""
    own = optimizer.state_dict()["param_groups"]
    try:
        groups = saved["param_groups"]
        sizes = [len(group["params"]) for group in groups]
        keys = [set(group) for group in groups]
    except (KeyError, TypeError):
        raise StateError("the optimizer's state can't be read; it is of another kind") from None
    if sizes != [len(group["params"]) for group in own]:
        raise StateError(
            f"the optimizer must have groups of {sizes} parameters, as when it was saved, "
            f"got {[len(group['params']) for group in own]}"
        )
    for theirs, ours in zip(keys, own, strict=True):
        if theirs ^ set(ours):
            raise StateError(
                f"the state is of another optimizer than {type(optimizer).__name__}: "
                f"they differ in {', '.join(sorted(theirs ^ set(ours)))}"
            )
