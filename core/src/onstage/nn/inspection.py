"""A model's layers and shapes, as callbacks look them up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onstage.errors import did_you_mean
from onstage.nn.layers import Layer, Variable
from onstage.nn.layers.base import Shape
from onstage.nn.layers.calling import TensorSpec
from onstage.nn.summary import format_summary


class Inspection:
    """Layers by name, specifications of inputs and outputs, and the summary."""

    name: str
    dtype: np.dtype[Any]
    layers: list[Layer]
    built: bool

    @property
    def trainable_weights(self) -> Sequence[Variable]:
        """Variables that training changes."""
        raise NotImplementedError

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return the layer of a name, or at an index counted from 0.

        Raises
        ------
        ValueError
            If there is no such layer, or not exactly one of both is given.
        """
        if (name is None) == (index is None):
            raise ValueError(f"either name or index must be given, got name={name!r} and index={index!r}")
        names = [layer.name for layer in self.layers]
        if index is not None:
            if not -len(names) <= index < len(names):
                raise ValueError(f"index must be less than the number of layers, {len(names)}, got {index}")
            return self.layers[index]
        if name not in names:
            raise ValueError(
                f"name must be that of a layer, one of {', '.join(names)}, got {name!r}"
                f"{did_you_mean(str(name), names)}"
            )
        return self.layers[names.index(name)]

    @property
    def input_shape(self) -> Shape:
        """With None for the batch axis; AttributeError before the model is built."""
        shape = self.layers[0].input_shape if self.built else None
        return self._require_shape("input_shape", shape)

    @property
    def output_shape(self) -> Shape:
        """With None for the batch axis; AttributeError before the model is built."""
        shape = self.layers[-1].output_shape if self.built else None
        return self._require_shape("output_shape", shape)

    @property
    def inputs(self) -> list[TensorSpec]:
        """Shape, type and name of the input, in a list; AttributeError before the model is built."""
        dtype = self.layers[0].input_dtype(self.dtype).name if self.built else ""
        return [TensorSpec(self.input_shape, dtype, "input")]

    @property
    def outputs(self) -> list[TensorSpec]:
        """Shape, type and name of the output, in a list; AttributeError before the model is built."""
        return [TensorSpec(self.output_shape, self.dtype.name, self.layers[-1].name)]

    @property
    def input(self) -> TensorSpec:
        """The only one of `inputs`."""
        return self.inputs[0]

    @property
    def output(self) -> TensorSpec:
        """The only one of `outputs`."""
        return self.outputs[0]

    def _require_shape(self, name: str, shape: Shape | None) -> Shape:
        if shape is None:
            # AttributeError, so that hasattr() and getattr() with a default work.
            raise AttributeError(
                f"{name} is unknown, the model must be built first; add an Input, pass input_shape, "
                "call build() or train it"
            )
        return shape

    def summary(self, print_fn: Callable[[str], object] | None = None) -> None:
        """Print a table of the layers with output shapes and weight counts.

        Parameters
        ----------
        print_fn
            Called with the table instead of `print`.
        """
        text = format_summary(self.name, self.layers, self.trainable_weights)
        (print_fn or print)(text)
