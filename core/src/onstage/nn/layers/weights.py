"""The weights of a layer or a model, as lists of variables and as arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from onstage.model import Array
from onstage.nn import initializers, regularizers
from onstage.nn.layers.variable import Variable, reserve_weights
from onstage.validation import validate_bool


class Weights:
    """Lists of variables under Keras's names; base class of layers and models."""

    @property
    def weights(self) -> list[Variable]:
        """All variables, in the order of `get_weights`."""
        raise NotImplementedError(f"{type(self).__name__} must define weights")

    @property
    def trainable_weights(self) -> list[Variable]:
        """Variables that training changes."""
        raise NotImplementedError(f"{type(self).__name__} must define trainable_weights")

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """Statistics, and variables of frozen layers."""
        trainable = {id(each) for each in self.trainable_weights}
        return [each for each in self.weights if id(each) not in trainable]

    @property
    def variables(self) -> list[Variable]:
        """The same as `weights`."""
        return self.weights

    @property
    def trainable_variables(self) -> list[Variable]:
        """The same as `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The same as `non_trainable_weights`."""
        return self.non_trainable_weights

    def get_weights(self) -> list[Array]:
        """Copy the weights, in Keras's order; an empty list before they are built."""
        return [variable.value.copy() for variable in self.weights]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Replace the weights.

        Raises
        ------
        ValueError
            If their number or a shape differs; nothing is changed then.
        TypeError
            If an array is not numeric.
        """
        variables = self.weights
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
        """Count all weights, including statistics."""
        return sum(math.prod(variable.shape) for variable in self.weights)


class LayerWeights(Weights):
    """The variables of one layer, and whether training changes them.

    Attributes
    ----------
    changes : int
        Number of times that `trainable` was set on any layer. A step checks
        the flags only if it has changed.
    """

    changes: ClassVar[int] = 0

    _trainable: bool
    _variables: list[Variable]
    _rng: np.random.Generator
    _dtype: np.dtype[np.floating]

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights.

        May be set at any time; takes effect at the next step.
        """
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = validate_bool("trainable", value)
        LayerWeights.changes += 1

    @property
    def weights(self) -> list[Variable]:
        """All variables, trainable ones first, as in Keras."""
        return sorted(self._variables, key=lambda each: not each.trainable)

    @property
    def trainable_weights(self) -> list[Variable]:
        """Variables that training changes; none if the layer is frozen."""
        return [each for each in self._variables if each.trainable] if self._trainable else []

    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: object = None,
        dtype: object = None,
        trainable: bool = True,
        *,
        regularizer: object = None,
        name: str | None = None,
    ) -> Variable:
        """Create a variable; call it in `build`.

        Parameters
        ----------
        initializer, regularizer
            Name, configuration or instance; the initializer is
            ``"glorot_uniform"`` if it is None.
        dtype
            Type of numbers; has no effect, as all weights are of the model's.

        Raises
        ------
        TypeError
            If the shape is a string: Keras 2 takes the name first.
        """
        if isinstance(shape, str):
            raise TypeError(
                f"shape must be a tuple of integers, got {shape!r}; pass the name as name={shape!r}"
            )
        if dtype is not None:
            np.dtype(dtype)  # type: ignore[call-overload]  # raises TypeError for what is no type
        if initializer is None:
            initializer = "glorot_uniform"
        make = initializers.get(initializer)
        replaced = reserve_weights(shape)
        value = np.zeros(shape, self._dtype) if replaced else make(tuple(shape), self._rng, self._dtype)
        variable = Variable(
            np.ascontiguousarray(value, self._dtype).reshape(tuple(shape)),
            name or f"variable_{len(self._variables)}",
            validate_bool("trainable", trainable),
            regularizers.get(regularizer),
        )
        self._variables.append(variable)
        return variable
