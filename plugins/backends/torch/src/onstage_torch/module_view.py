"""ModuleView: a module with the attributes of a model that callbacks read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from onstage.errors import did_you_mean
from onstage.model import Array
from onstage.reporting import format_table
from onstage_torch.data.device import ToDevice, call_module
from onstage_torch.layer_views import Layer, Weight, layers_of
from onstage_torch.pytree import to_array
from onstage_torch.state import copy_weights
from onstage_torch.train_mode import switch_mode
from onstage_torch.validation import validate_module


class _Missing:
    """An attribute of a Keras model that a module can't have; the error tells the way out."""

    def __init__(self, remedy: str) -> None:
        self._remedy = remedy
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> _Missing:
        if instance is None:
            return self
        raise AttributeError(
            f"{owner.__name__} has no {self._name}: {self._remedy}", name=self._name, obj=instance
        )


_NO_SHAPES = "a module accepts whatever its forward does; read a batch, as in run.batch_data"
_NO_CONFIG = "a module's class is its configuration; make it in code, and keep its weights with save_weights"
_NO_COMPILE = "optimizer, loss and metrics are arguments of TorchModel; set optimizer.learning_rate, for one"


class ModuleView:
    """A module, its layers and weights, as callbacks see a model.

    Parameters
    ----------
    module
        Any module.
    """

    built = True
    """A module has its weights from the start."""

    def __init__(self, module: nn.Module) -> None:
        self._module = validate_module(module)

    input, inputs, input_shape = _Missing(_NO_SHAPES), _Missing(_NO_SHAPES), _Missing(_NO_SHAPES)
    output, outputs, output_shape = _Missing(_NO_SHAPES), _Missing(_NO_SHAPES), _Missing(_NO_SHAPES)
    get_config, to_json = _Missing(_NO_CONFIG), _Missing(_NO_CONFIG)
    compile = _Missing(_NO_COMPILE)

    @property
    def module(self) -> nn.Module:
        """The module."""
        return self._module

    @property
    def name(self) -> str:
        """Name of the module's class in lower case, used by callbacks."""
        return type(self.module).__name__.lower()

    @property
    def device(self) -> torch.device:
        """Device of the first parameter; the CPU for a module without."""
        return next((p.device for p in self.module.parameters()), torch.device("cpu"))

    def __call__(self, x: Any, training: bool = False) -> Any:
        """Return the module's outputs for a batch, as tensors.

        Parameters
        ----------
        x
            A tensor, an array, or a tuple or dict of them, which is unpacked
            into the module's arguments; moved to the module's device.
        training
            Whether submodules work as in training, and outputs have a graph for
            gradients. The mode of each submodule is restored.
        """
        with switch_mode(self.module, training), torch.set_grad_enabled(training and torch.is_grad_enabled()):
            return call_module(self.module, ToDevice(self.device, self.module).inputs(x))

    # -- layers

    @property
    def layers(self) -> list[Layer]:
        """Submodules with weights of their own, by path, for callbacks that name them."""
        return layers_of(self.module)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return one of `layers`, by its name or its index.

        Raises
        ------
        ValueError
            If there is no such layer, or not exactly one argument is given.
        """
        layers = self.layers
        if (name is None) == (index is None):
            raise ValueError(f"get_layer must get a name or an index, got name={name!r}, index={index!r}")
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"index must be one of {len(layers)} layers with weights, got {index}")
            return layers[index]
        found = {each.name: each for each in layers}
        if name not in found:
            raise ValueError(
                f"name must be the path of a layer with weights, got {name!r}{did_you_mean(str(name), found)}"
            )
        return found[name]

    @property
    def weights(self) -> list[Weight]:
        """The weights of all layers, parameters before buffers in each."""
        return [weight for layer in self.layers for weight in layer.weights]

    @property
    def trainable_weights(self) -> list[Weight]:
        """Weights that require a gradient."""
        return [weight for weight in self.weights if weight.trainable]

    variables = weights
    trainable_variables = trainable_weights

    @property
    def trainable(self) -> bool:
        """Whether any parameter requires a gradient; setting it sets them all."""
        return any(each.requires_grad for each in self.module.parameters())

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.module.requires_grad_(bool(value))

    def count_params(self) -> int:
        """Count the numbers in parameters and buffers, shared ones once."""
        return sum(each.numel() for each in (*self.module.parameters(), *self.module.buffers()))

    def summary(self, print_fn: Callable[[str], object] | None = None) -> None:
        """Print a table of the layers with their numbers of weights.

        Parameters
        ----------
        print_fn
            Called with the table instead of `print`.
        """
        rows = [
            (f"{each.name} ({type(each).__name__})", str(each.weights[0].shape), f"{each.count_params():,}")
            for each in self.layers
        ]
        header = ("Layer (type)", "First weight", "Weights")
        total = self.count_params()
        trained = sum(each.numel() for each in self.module.parameters() if each.requires_grad)
        head, *lines = format_table(header, rows, right=(2,)).splitlines()
        rule = "-" * len(head)
        counts = f"Total weights: {total:,} (trainable {trained:,}, others {total - trained:,})"
        (print_fn or print)("\n".join([f"Model: {self.name}", rule, head, rule, *lines, rule, counts]))

    # -- all weights together

    def named_weights(self) -> dict[str, Tensor]:
        """Return parameters and buffers by name, in the order of ``module.state_dict()``.

        Raises
        ------
        TypeError
            If the module's ``state_dict()`` holds anything else.
        """
        weights = self.module.state_dict()
        for name, value in weights.items():
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"{name} in the module's state_dict must be a tensor, got {type(value).__name__}"
                )
        return dict(weights)

    def get_weights(self) -> list[Array]:
        """Return copies of parameters and buffers, in the order of `named_weights`.

        numpy has no bfloat16: such weights are returned as float32, exactly.
        """
        return [to_array(weight) for weight in self.named_weights().values()]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Replace parameters and buffers, in the order of `named_weights`.

        Raises
        ------
        ValueError
            If their number or a shape differs. Nothing is changed then.
        """
        own = self.named_weights()
        if len(weights) != len(own):
            raise ValueError(f"weights must be {len(own)} arrays, as from get_weights, got {len(weights)}")
        copy_weights(dict(zip(own, weights, strict=True)), own)
