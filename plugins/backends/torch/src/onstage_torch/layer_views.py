"""Layers of a module with their weights, for callbacks that name layers."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from onstage.model import Array
from onstage_torch.pytree import to_array


class Weight:
    """One parameter or buffer.

    Attributes
    ----------
    name
        Name within its layer: ``"weight"``.
    """

    def __init__(self, name: str, tensor: Tensor) -> None:
        self.name = name
        self._tensor = tensor

    @property
    def value(self) -> Array:
        """Values: on the CPU the tensor's own memory, else a copy."""
        return _values(self._tensor.detach())

    @property
    def gradient(self) -> Array | None:
        """Values of its gradient; None before there is one."""
        return None if self._tensor.grad is None else _values(self._tensor.grad)


class Layer:
    """A submodule that has weights of its own.

    Its class has the name of the submodule's class, which TensorBoard shows.

    Attributes
    ----------
    name
        Path in the module: ``"encoder.0"``; for the module itself, its class's name.
    weights
        Parameters, then buffers.
    """

    def __init__(self, name: str, module: nn.Module) -> None:
        self.name = name or type(module).__name__.lower()
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        self.weights = [Weight(each, tensor) for each, tensor in own]


def layers_of(module: nn.Module) -> list[Layer]:
    """Return the submodules that have weights of their own, in the module's order."""
    views = (_layer_class(type(part).__name__)(name, part) for name, part in module.named_modules())
    return [layer for layer in views if layer.weights]


@cache
def _layer_class(name: str) -> type[Layer]:
    return type(name, (Layer,), {"__doc__": Layer.__doc__})


def _values(tensor: Tensor) -> Array:
    # numpy has no bfloat16.
    plain = tensor.device.type == "cpu" and tensor.dtype is not torch.bfloat16
    array: Array = tensor.numpy() if plain else to_array(tensor)
    return array
