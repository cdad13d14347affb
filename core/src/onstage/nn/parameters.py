"""Parameters: the weights of a network, in one buffer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from onstage.model import Array
from onstage.nn.layers import Layer, Variable
from onstage.nn.layers.variable import flatten_variables
from onstage.nn.layers.weights import Weights


class Parameters(Weights):
    """The weights of all layers; base class of `Network`.

    Attributes
    ----------
    parameters, gradients : Array
        Flat; all variables' arrays are views of them, also those of frozen
        layers. Statistics, such as a moving mean, are stored separately.
    slices : list of slice
        Position of each variable in them.
    """

    layers: list[Layer]
    dtype: np.dtype[Any]
    built: bool
    parameters: Array
    gradients: Array
    slices: list[slice]

    def _require_built(self) -> Self:
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
