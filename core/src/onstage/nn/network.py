"""Network: a list of layers with their shapes, and their weights in one buffer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from onstage.nn import seeding
from onstage.nn.inspection import Inspection
from onstage.nn.layers import Input, Layer
from onstage.nn.layers.base import Shape, validate_shape
from onstage.nn.parameters import Parameters
from onstage.nn.serialization import snake_case


class Network(Parameters, Inspection):
    """A list of layers with their shapes, and their weights in one buffer.

    Base class of `Sequential`, which documents the parameters.

    Attributes
    ----------
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
        if isinstance(layers, Layer):
            raise TypeError(
                f"layers must be a list, got a {type(layers).__name__}; write [{type(layers).__name__}(…)]"
            )
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
