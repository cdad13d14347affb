"""Layer: what all layers are, and how one of the user's own joins a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias, TypedDict

import numpy as np

from onstage.errors import did_you_mean
from onstage.model import Array
from onstage.nn import initializers, regularizers
from onstage.nn.execution.ops import BindContext, Op, to_channels_first
from onstage.nn.layers.variable import Variable, reserve_weights
from onstage.validation import validate_bool

Shape: TypeAlias = tuple[int | None, ...]
"""The batch axis first, None; then the others' lengths."""


class LayerOptions(TypedDict, total=False):
    """The arguments that every layer takes, explained at `Layer`."""

    name: str | None
    input_shape: Sequence[int] | None
    trainable: bool


class Layer:
    """One layer of a `Sequential`.

    For one of your own override `build`, if it has weights, and `forward` and
    `backward`; and `get_config`, for a model that is to be saved.

    Parameters
    ----------
    name
        Unique in a model. None: the class's name in snake case, numbered.
    input_shape
        Of one sample, without the batch axis. On a model's first layer only;
        an `Input` before it says the same.
    trainable
        False leaves the weights as they are, and their penalties out of the
        loss. A BatchNormalization then works as outside of training. May be
        set on the layer at any time, without compiling again.

    Attributes
    ----------
    changes : int
        How often `trainable` was set, on any layer: a step looks at the flags
        only where this has changed.

    Examples
    --------
    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.gain = self.add_weight((input_shape[-1],), "ones", name="gain")
    ...     def forward(self, x, training):
    ...         self.x = x
    ...         return x * self.gain.value
    ...     def backward(self, gradient):
    ...         self.gain.gradient[...] = (gradient * self.x).sum(axis=0)
    ...         return gradient * self.gain.value
    """

    changes: ClassVar[int] = 0

    def __init__(
        self,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
        trainable: bool = True,
        **unknown: object,
    ) -> None:
        if unknown:
            self._refuse(next(iter(unknown)))
        if name is not None and (not isinstance(name, str) or not name):
            raise TypeError(f"name must be a string or None, got {name!r}")
        self.given_name = name
        self.name = name or ""
        self.given_input_shape = None if input_shape is None else checked_shape("input_shape", input_shape)
        self._trainable = validate_bool("trainable", trainable)
        self.in_model = False
        self._variables: list[Variable] = []
        self.input_shape: Shape | None = None
        self.output_shape: Shape | None = None
        self._rng = np.random.default_rng(0)
        self._dtype: np.dtype[np.floating] = np.dtype(np.float32)

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; may be set at any time.

        Heeded from the next step on, also in the middle of a training.
        """
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = validate_bool("trainable", value)
        Layer.changes += 1

    @property
    def built(self) -> bool:
        """Whether shapes and weights are there."""
        return self.output_shape is not None

    @property
    def weights(self) -> list[Variable]:
        """All variables, the trainable ones first, as in Keras."""
        return sorted(self._variables, key=lambda each: not each.trainable)

    def add_weight(
        self,
        shape: Sequence[int],
        initializer: object = "glorot_uniform",
        trainable: bool = True,
        regularizer: object = None,
        name: str | None = None,
    ) -> Variable:
        """Make a variable; to be called in `build`.

        Parameters
        ----------
        initializer, regularizer
            A name, a configuration or an instance.
        """
        reserve_weights(shape)
        value = initializers.get(initializer)(tuple(shape), self._rng, self._dtype)
        variable = Variable(
            np.ascontiguousarray(value, self._dtype).reshape(tuple(shape)),
            name or f"variable_{len(self._variables)}",
            trainable,
            regularizers.get(regularizer),
        )
        self._variables.append(variable)
        return variable

    def build(self, input_shape: Shape) -> None:
        """Make the weights; `input_shape` begins with None, the batch axis."""

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Give the shape of what comes out; None stands for the batch axis.

        Found by sending one sample of zeros through `forward`. Raises
        ValueError where the input doesn't fit.
        """
        out = self.forward(np.zeros((1, *input_shape[1:]), self._dtype), False)  # type: ignore[arg-type]
        return (None, *np.shape(out)[1:])

    def forward(self, x: Array, training: bool) -> Array:
        """Give the output of a batch, its first axis that of the batch.

        x is valid until the end of `backward`, and must not be changed.
        """
        raise NotImplementedError(f"{type(self).__name__} must define forward(self, x, training)")

    def backward(self, gradient: Array) -> Array:
        """Write the variables' gradients, give that of the last forward's x."""
        raise NotImplementedError(f"{type(self).__name__} must define backward(self, gradient)")

    def input_dtype(self, dtype: np.dtype[np.floating]) -> np.dtype[Any]:
        """Give the type in which the layer wants its input, were it the first."""
        return dtype

    def check_input(self, x: Array) -> None:
        """Refuse values that the layer cannot take; asked of a model's first."""

    def ensure_built(
        self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[np.floating]
    ) -> Shape:
        """Build for an input, unless that is done; gives the output's shape."""
        if self.output_shape is not None and self.input_shape == input_shape:
            return self.output_shape
        if self.output_shape is not None:
            raise ValueError(f"is built for input of shape {self.input_shape}, got {input_shape}")
        self._rng, self._dtype = rng, dtype
        self._variables = []
        self.build(input_shape)
        shape = tuple(self.compute_output_shape(input_shape))
        if len(shape) < 2:
            raise ValueError(f"must give output of at least 2 axes, (batch, channels), got {shape}")
        self.input_shape, self.output_shape = input_shape, shape
        return shape

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the steps that apply this layer to x, a buffer of the inside order.

        The base's way calls `forward` and `backward` on arrays of the usual
        order; the built-in layers override it.
        """
        assert self.output_shape is not None
        *middle, channels = self.output_shape[1:]
        out = np.empty((channels, *middle, x.shape[-1]), context.dtype)
        x_gradient = np.empty(x.shape, context.dtype) if context.wants_gradient else None

        def forward(x: Array) -> Array:
            values = self.forward(np.ascontiguousarray(to_channels_first(x)), context.training)
            self._take("forward", values, out)
            return out

        def backward(x: Array, gradient: Array) -> Array:
            below = self.backward(np.ascontiguousarray(to_channels_first(gradient)))
            if x_gradient is None:
                return gradient
            self._take("backward", below, x_gradient)
            return x_gradient

        return [Op(out, forward, backward)]

    def _take(self, what: str, given: Any, into: Array) -> None:
        """Copy what a user's method gave into a buffer of the inside order."""
        values = np.asarray(given)
        target = to_channels_first(into)
        if values.shape != target.shape:
            raise ValueError(
                f"{what} of the layer {self.name!r} must give an array of shape {target.shape}, "
                f"got {values.shape if values.dtype != object else given!r}"
            )
        np.copyto(target, values, casting="same_kind")

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments, as plain values."""
        config: dict[str, Any] = {"name": self.given_name or self.name or None, "trainable": self.trainable}
        if self.given_input_shape is not None:
            config["input_shape"] = list(self.given_input_shape)
        return config

    def _refuse(self, name: str) -> None:
        known = [each for each in self.__init__.__code__.co_varnames if each != "self"]  # type: ignore[misc]
        known += list(LayerOptions.__annotations__)
        raise TypeError(f"{type(self).__name__} has no argument {name!r}{did_you_mean(name, known)}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name!r} output_shape={self.output_shape}>"


def checked_shape(name: str, shape: object) -> tuple[int, ...]:
    """Give a shape of one sample as a tuple; raises TypeError or ValueError."""
    remedy = "without the batch axis, such as (784,) or (28, 28, 1)"
    if isinstance(shape, str) or not isinstance(shape, Sequence):
        raise TypeError(f"{name} must be a tuple of integers {remedy}, got {shape!r}")
    lengths = tuple(shape)
    if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n > 0 for n in lengths):
        raise ValueError(f"{name} must be positive integers {remedy}, got {shape!r}")
    return tuple(int(n) for n in lengths)
