"""Layers of a module with their weights, for callbacks that name layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from onstage.model import Array
from onstage_torch.pytree import to_array
from onstage_torch.state import copy_weights


class Weight:
    """One parameter or buffer.

    Attributes
    ----------
    name, path
        Name within its layer, and within the model: ``"weight"``, ``"encoder/0/weight"``.
    """

    def __init__(self, name: str, tensor: Tensor, path: str) -> None:
        self.name = name
        self.path = path
        self._tensor = tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return tuple(self._tensor.shape)

    @property
    def trainable(self) -> bool:
        """Whether it has a gradient in training."""
        return self._tensor.requires_grad

    @property
    def value(self) -> Array:
        """Values: on the CPU the tensor's own memory, else a copy."""
        return _values(self._tensor.detach())

    @property
    def gradient(self) -> Array | None:
        """Values of its gradient; None before there is one."""
        return None if self._tensor.grad is None else _values(self._tensor.grad)

    def numpy(self) -> Array:
        """Return a copy of the values."""
        return to_array(self._tensor)

    def assign(self, value: Array) -> None:
        """Replace the values; raise ValueError if the shape differs."""
        copy_weights({self.name: np.asarray(value)}, {self.name: self._tensor})

    def __array__(self, dtype: object = None, copy: bool | None = None) -> Array:
        return np.array(self.value, dtype=dtype, copy=copy)  # type: ignore[call-overload, no-any-return]


class Layer:
    """A submodule that has weights of its own.

    Its class has the name of the submodule's class, which TensorBoard shows.

    Attributes
    ----------
    name
        Path in the module: ``"encoder.0"``; for the module itself, its class's name.
    module
        The submodule.
    weights
        Parameters, then buffers.
    """

    def __init__(self, name: str, module: nn.Module) -> None:
        self.name = name or type(module).__name__.lower()
        self.module = module
        self._tensors: Mapping[str, Tensor] = dict(
            [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        )
        prefix = "/".join(self.name.split("."))
        self.weights = [Weight(key, tensor, f"{prefix}/{key}") for key, tensor in self._tensors.items()]
        self.variables = self.weights

    def __call__(self, x: object) -> Any:
        """Raise TypeError: only the module knows what comes between its layers.

        In Keras, activations and reshaping are layers too; here they are in
        ``forward``, so that calling the layers in turn would compute something else.
        """
        raise TypeError(
            f"the layer {self.name!r} cannot be called: the module's forward has what comes between layers; "
            "read outputs in layer.module.register_forward_hook, or call layer.module on a tensor"
        )

    @property
    def trainable_weights(self) -> list[Weight]:
        """Weights that training changes."""
        return [each for each in self.weights if each.trainable]

    trainable_variables = trainable_weights

    @property
    def trainable(self) -> bool:
        """Whether any parameter requires a gradient; setting it sets them all.

        May be set between two fits or in a callback: the next step follows. The
        statistics of a batch normalization follow its mode, not this.
        """
        return any(each.requires_grad for each in self.module.parameters(recurse=False))

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for each in self.module.parameters(recurse=False):
            each.requires_grad_(bool(value))

    def get_weights(self) -> list[Array]:
        """Return copies of the values of `weights`."""
        return [each.numpy() for each in self.weights]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Replace the values of `weights`.

        Raises
        ------
        ValueError
            If their number or a shape differs. Nothing is changed then.
        """
        if len(weights) != len(self._tensors):
            raise ValueError(
                f"weights of the layer {self.name!r} must be {len(self._tensors)} arrays, got {len(weights)}"
            )
        copy_weights(dict(zip(self._tensors, weights, strict=True)), self._tensors)

    def count_params(self) -> int:
        """Count the numbers in `weights`."""
        return sum(each.numel() for each in self._tensors.values())


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
