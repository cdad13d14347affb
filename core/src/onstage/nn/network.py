"""Network: a list of layers with their shapes, and their weights in one buffer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from onstage.model import Array
from onstage.nn import seeding
from onstage.nn.inspection import Inspection
from onstage.nn.layers import Input, Layer, Variable
from onstage.nn.layers.base import Shape, validate_shape
from onstage.nn.layers.variable import flatten_variables
from onstage.nn.layers.weights import Weights
from onstage.nn.serialization import snake_case


class Network(Weights, Inspection):
    """A list of layers with their shapes, and their weights in one buffer.

    Base class of `Sequential`, which documents the parameters.

    Attributes
    ----------
    parameters, gradients : Array
        Flat; all variables' arrays are views of them, also those of frozen
        layers. Statistics, such as a moving mean, are stored separately.
    rng : numpy.random.Generator
        Draws the initial weights and the dropout masks.
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
        self.rng = seeding.generator(seed)
        self.layers: list[Layer] = []
        self.parameters = self.gradients = np.zeros(0, self.dtype)
        self._given_shape: tuple[int, ...] | None = None
        self.built = False
        try:
            for layer in layers or ():
                self._append(layer)
            self._build_if_known()
        except (TypeError, ValueError):
            while self.layers:
                self.layers.pop().in_model = False
            raise

    def add(self, layer: Layer) -> None:
        """Append a layer; an `Input` sets the input shape and is not kept.

        Raises
        ------
        TypeError
            If it is not an instance of Layer.
        ValueError
            If the layer is in a model already, its name is taken, or it
            doesn't accept the output of the layer before it.
        """
        if not self._append(layer):
            return
        try:
            self._build_if_known()
        except ValueError:
            self.layers.pop().in_model = False
            raise

    def _append(self, layer: Layer) -> bool:
        """Append a layer without building it; return False for an `Input`."""
        if not isinstance(layer, Layer):
            remedy = "; call the class, as in Flatten()" if isinstance(layer, type) else ""
            raise TypeError(f"layers must be instances of Layer, got {layer!r}{remedy}")
        if isinstance(layer, Input):
            if self.layers:
                raise ValueError(f"Input must come before all layers, got one after {self.layers[-1].name!r}")
            self._given_shape = layer.shape
            return False
        if layer.in_model:
            raise ValueError(
                f"layer must not belong to a model yet, got {layer.name!r}; make a new layer instead"
            )
        if layer.name:
            if any(layer.name == other.name for other in self.layers):
                raise ValueError(
                    f"names of layers must be unique, got {layer.name!r} twice; rename one of them"
                )
        else:
            layer.name = self._free_name(snake_case(type(layer).__name__))
        self.layers.append(layer)
        layer.in_model = True
        return True

    def pop(self) -> None:
        """Remove the last layer."""
        if not self.layers:
            raise TypeError("pop() must be called on a model with layers, got an empty model")
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
        """Create the weights.

        Parameters
        ----------
        input_shape
            Batch axis first, as in Keras: ``(None, 784)``.
        """
        shape = validate_shape("input_shape[1:]", tuple(input_shape)[1:])
        if self._known_shape() not in (None, shape):
            raise ValueError(f"input_shape must be {(None, *self._known_shape())}, got {input_shape}")  # type: ignore[misc]
        self._given_shape = shape
        if not self.layers:
            raise ValueError("the model must have layers to be built, got none; add() some first")
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

    def _require_built(self) -> Network:
        if not self.built:
            raise ValueError(
                "the model must be built first; add an Input, pass input_shape, call build() or train it"
            )
        return self

    def flatten_parameters(self) -> None:
        """Move the variables to one buffer, and their gradients to another.

        Statistics have separate buffers. The variables of a layer are
        contiguous, in order of creation. Frozen variables keep their position
        among the others, so nothing moves when a layer is frozen or unfrozen.
        """
        self.parameters, self.gradients, self.slices = flatten_variables(
            [each for each in self.weights if each.trainable], self.dtype
        )
        flatten_variables([each for each in self.weights if not each.trainable], self.dtype)

    @property
    def weights(self) -> list[Variable]:
        """All variables, in the order of `get_weights`."""
        return [variable for layer in self.layers for variable in layer.weights]

    @property
    def trainable_weights(self) -> list[Variable]:
        """Variables that training changes."""
        return [variable for layer in self.layers for variable in layer.trainable_weights]

    @property
    def trainable(self) -> bool:
        """Whether any layer is trainable; setting it sets all layers."""
        return any(layer.trainable for layer in self.layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self.layers:
            layer.trainable = value

    def frozen(self) -> list[bool]:
        """Return whether each variable of `slices` belongs to a frozen layer."""
        return [not layer.trainable for layer in self.layers for v in layer.weights if v.trainable]

    def weights_view(self) -> list[Array]:
        """Return the arrays that `get_weights` copies."""
        return [variable.value for variable in self._require_built().weights]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Replace the weights.

        Raises
        ------
        ValueError
            If their number or a shape differs; nothing is changed then. Or if
            the model is not built.
        TypeError
            If an array is not numeric.
        """
        self._require_built()
        super().set_weights(weights)

    def count_params(self) -> int:
        """Count all weights, including statistics; ValueError before the model is built."""
        self._require_built()
        return super().count_params()
