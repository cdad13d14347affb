"""Network: a list of layers, their shapes, and their weights in one buffer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from onstage.model import Array
from onstage.nn.layers import Input, Layer, Variable
from onstage.nn.layers.base import Shape, checked_shape
from onstage.nn.serialization import snake_case
from onstage.nn.summary import table
from onstage.state._tree import copy_state


class Network:
    """A list of layers, their shapes, and their weights in one buffer.

    The base of `Sequential`, which explains the parameters.

    Attributes
    ----------
    parameters, gradients : Array
        Flat; the variables' arrays are views of them, those of frozen layers
        too. Statistics, such as a moving mean, lie elsewhere.
    rng : numpy.random.Generator
        Draws the first weights, and what dropout drops.
    """

    def __init__(
        self,
        layers: Iterable[Layer] | None = None,
        name: str | None = None,
        seed: int | None = None,
        dtype: DTypeLike = "float32",
    ) -> None:
        self.name = name or "sequential"
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.rng = np.random.default_rng(seed)
        self.layers: list[Layer] = []
        self.parameters = self.gradients = np.zeros(0, self.dtype)
        self._given_shape: tuple[int, ...] | None = None
        self.built = False
        try:
            for layer in layers or ():
                self._take(layer)
            self._build_if_known()
        except (TypeError, ValueError):
            while self.layers:
                self.layers.pop().in_model = False
            raise

    def add(self, layer: Layer) -> None:
        """Append a layer; an `Input` says the shape and is not kept.

        Raises
        ------
        TypeError
            It isn't an instance of Layer.
        ValueError
            The layer is in a model already, its name is taken, or it doesn't
            fit behind the layer before it.
        """
        if not self._take(layer):
            return
        try:
            self._build_if_known()
        except ValueError:
            self.layers.pop().in_model = False
            raise

    def _take(self, layer: Layer) -> bool:
        """Append a layer without building it; whether it is kept, as an `Input` isn't."""
        if not isinstance(layer, Layer):
            remedy = "; write it with brackets, such as Flatten()" if isinstance(layer, type) else ""
            raise TypeError(f"layers must be instances of Layer, got {layer!r}{remedy}")
        if isinstance(layer, Input):
            if self.layers:
                raise ValueError(f"Input must come before all layers, got it after {self.layers[-1].name!r}")
            self._given_shape = layer.shape
            return False
        if layer.in_model:
            raise ValueError(f"layer {layer.name!r} is in a model already; make another and copy its weights")
        if layer.name:
            if any(layer.name == other.name for other in self.layers):
                raise ValueError(f"names of layers must be unique, got {layer.name!r} twice")
        else:
            layer.name = self._free_name(snake_case(type(layer).__name__))
        self.layers.append(layer)
        layer.in_model = True
        return True

    def pop(self) -> None:
        """Remove the last layer."""
        if not self.layers:
            raise TypeError("the model has no layers to pop")
        self.layers.pop().in_model = False
        self._build_if_known()

    def _free_name(self, base: str) -> str:
        taken = {layer.name for layer in self.layers}
        return next(
            name
            for number in range(len(taken) + 1)
            if (name := f"{base}_{number}" if number else base) not in taken
        )

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the weights.

        Parameters
        ----------
        input_shape
            With the batch axis first, as in Keras: ``(None, 784)``.
        """
        shape = checked_shape("input_shape[1:]", tuple(input_shape)[1:])
        if self._known_shape() not in (None, shape):
            raise ValueError(f"input_shape must be {(None, *self._known_shape())}, got {input_shape}")  # type: ignore[misc]
        self._given_shape = shape
        if not self.layers:
            raise ValueError("the model has no layers; add some before build()")
        self._build_if_known()

    def _known_shape(self) -> tuple[int, ...] | None:
        if self._given_shape is not None or not self.layers:
            return self._given_shape
        return self.layers[0].given_input_shape

    def _build_if_known(self) -> None:
        shape = self._known_shape()
        self.built = shape is not None and bool(self.layers)
        if shape is None or not self.layers:
            return
        here: Shape = (None, *shape)
        source = "the model's input"
        for layer in self.layers:
            try:
                here = layer.ensure_built(here, self.rng, self.dtype)
            except ValueError as error:
                raise ValueError(f"layer {layer.name!r} {error}, from {source}") from error
            source = f"the layer {layer.name!r}"
        self.flatten_parameters()

    @property
    def input_shape(self) -> Shape:
        """With None for the batch axis; ValueError before the model is built."""
        return (None, *self._checked_built()._known_shape())  # type: ignore[misc]

    @property
    def output_shape(self) -> Shape:
        """With None for the batch axis; ValueError before the model is built."""
        shape = self._checked_built().layers[-1].output_shape
        assert shape is not None
        return shape

    def _checked_built(self) -> Network:
        if not self.built:
            raise ValueError(
                "the model must be built first; give an Input or input_shape, call build(), or train it"
            )
        return self

    def flatten_parameters(self) -> None:
        """Put the variables into one buffer, their gradients into another.

        Statistics have buffers of their own. What a layer made next to each
        other lies next to each other. Frozen variables have their place among
        the others, so that nothing moves when a layer is frozen or released.
        """
        self.parameters, self.gradients, self.slices = self._joined(
            [each for each in self.weights if each.trainable]
        )
        self._joined([each for each in self.weights if not each.trainable])

    def _joined(self, variables: list[Variable]) -> tuple[Array, Array, list[slice]]:
        values = np.concatenate([np.zeros(0, self.dtype), *(each.value.ravel() for each in variables)])
        gradients = np.zeros_like(values)
        slices = []
        end = 0
        for each in variables:
            start, end = end, end + each.value.size
            slices.append(slice(start, end))
            each.gradient = gradients[start:end].reshape(each.shape)
            each.value = values[start:end].reshape(each.shape)
        return values, gradients, slices

    @property
    def weights(self) -> list[Variable]:
        """All variables, in the order of `get_weights`."""
        return [variable for layer in self.layers for variable in layer.weights]

    @property
    def trainable_weights(self) -> list[Variable]:
        """The variables that training changes."""
        return [v for layer in self.layers if layer.trainable for v in layer.weights if v.trainable]

    @property
    def trainable(self) -> bool:
        """Whether training changes any layer; setting it sets all layers'."""
        return any(layer.trainable for layer in self.layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self.layers:
            layer.trainable = value

    def frozen(self) -> list[bool]:
        """Whether each variable of `slices` belongs to a frozen layer."""
        return [not layer.trainable for layer in self.layers for v in layer.weights if v.trainable]

    def get_weights(self) -> list[Array]:
        """Copy the weights, layer by layer, in Keras's order."""
        return copy_state(self.weights_view())

    def weights_view(self) -> list[Array]:
        """Give what `get_weights` copies."""
        return [variable.value for variable in self._checked_built().weights]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Replace the weights.

        Raises
        ------
        ValueError
            Their number or a shape differs; nothing is changed then.
        """
        variables = self._checked_built().weights
        arrays = [np.asarray(each) for each in weights]
        if len(arrays) != len(variables):
            raise ValueError(f"weights must be {len(variables)} arrays, got {len(arrays)}")
        for variable, array in zip(variables, arrays, strict=True):
            if array.shape != variable.shape:
                raise ValueError(f"{variable.name} must have shape {variable.shape}, got {array.shape}")
            if array.dtype.kind not in "fiub":
                raise TypeError(f"{variable.name} must be numbers, got an array of {array.dtype}")
        for variable, array in zip(variables, arrays, strict=True):
            np.copyto(variable.value, array, casting="unsafe")

    def count_params(self) -> int:
        """Count all weights, trained ones and statistics."""
        return sum(math.prod(variable.shape) for variable in self._checked_built().weights)

    def summary(self, print_fn: Callable[[str], object] | None = None) -> None:
        """Print a table of the layers, their output shapes and weights.

        Parameters
        ----------
        print_fn
            Gets the table, instead of `print`.
        """
        text = table(self.name, self.layers, self.trainable_weights)
        (print_fn or print)(text)
