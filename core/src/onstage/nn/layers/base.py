"""Layer: the base class of all layers, and how custom layers join a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NoReturn, Self, TypeAlias, TypedDict

import numpy as np

from onstage.errors import did_you_mean
from onstage.model import Array
from onstage.nn.execution.ops import BindContext, Op, to_channels_first
from onstage.nn.layers.calling import as_values
from onstage.nn.layers.variable import Variable, flatten_variables
from onstage.nn.layers.weights import LayerWeights
from onstage.validation import validate_bool

Shape: TypeAlias = tuple[int | None, ...]
"""None for the batch axis, then the lengths of the others."""


class LayerOptions(TypedDict, total=False):
    """Arguments of all layers; see `Layer`."""

    name: str | None
    input_shape: Sequence[int] | None
    trainable: bool


class Layer(LayerWeights):
    """One layer of a `Sequential`.

    To write one, override `forward` and `backward`; `build`, if it has weights;
    and `get_config`, if the model will be saved.

    Parameters
    ----------
    name
        Unique in a model. None for the class name in snake case, numbered.
    input_shape
        Shape of one sample, without the batch axis. Only for a model's first
        layer; equivalent to an `Input` before it.
    trainable
        False freezes the weights and omits their penalties from the loss; a
        BatchNormalization then works as in inference. May be set on the layer
        at any time, without compiling again.

    Examples
    --------
    >>> import numpy as np
    >>> from onstage import Sequential
    >>> from onstage.layers import Layer
    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.gain = self.add_weight((input_shape[-1],), "ones", name="gain")
    ...     def forward(self, x, training):
    ...         self.x = x
    ...         return x * self.gain.value
    ...     def backward(self, gradient):
    ...         self.gain.gradient[...] = (gradient * self.x).sum(axis=0)
    ...         return gradient * self.gain.value
    >>> model = Sequential([Scale()])
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.ones((4, 3)), np.zeros((4, 3)), verbose=0)
    >>> model.output_shape
    (None, 3)
    """

    any_order: ClassVar[bool] = False
    """Whether `bind` takes an x in any memory order; otherwise the plan copies it to channels-first order."""

    def __init__(
        self,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
        trainable: bool = True,
        **unknown: object,
    ) -> None:
        if unknown:
            _reject(type(self), next(iter(unknown)))
        if name is not None and (not isinstance(name, str) or not name):
            raise TypeError(f"name must be a string or None, got {name!r}")
        self.given_name = name
        self.name = name or ""
        self.given_input_shape = None if input_shape is None else validate_shape("input_shape", input_shape)
        self._trainable = validate_bool("trainable", trainable)
        self.in_model = False
        self._variables: list[Variable] = []
        self.input_shape: Shape | None = None
        self.output_shape: Shape | None = None
        self._rng = np.random.default_rng(0)
        self._dtype: np.dtype[np.floating] = np.dtype(np.float32)

    @property
    def built(self) -> bool:
        """Whether shapes and weights are known."""
        return self.output_shape is not None

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """Type of the weights: that of the model."""
        return self._dtype

    def build(self, input_shape: Shape) -> None:
        """Create the weights; `input_shape` begins with None, the batch axis."""

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output, None for the batch axis.

        Found by passing one sample of zeros to `forward`. Raises ValueError if
        the input doesn't fit.
        """
        out = self.forward(np.zeros((1, *input_shape[1:]), self._dtype), False)  # type: ignore[arg-type]
        return (None, *np.shape(out)[1:])

    def forward(self, x: Array, training: bool) -> Array:
        """Return the output of a batch; the first axis is the batch.

        x is valid until the end of `backward` and must not be modified.
        """
        raise NotImplementedError(f"{type(self).__name__} must define forward(self, x, training)")

    def backward(self, gradient: Array) -> Array:
        """Write the variables' gradients; return that of the last forward's x."""
        raise NotImplementedError(f"{type(self).__name__} must define backward(self, gradient)")

    def input_dtype(self, dtype: np.dtype[np.floating]) -> np.dtype[Any]:
        """Return the dtype of the input if this is the first layer."""
        return dtype

    def check_input(self, x: Array) -> None:
        """Raise ValueError for invalid values; called on a model's first layer."""

    def ensure_built(
        self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[np.floating]
    ) -> Shape:
        """Build for an input shape, if not yet built; return the output shape."""
        if self.output_shape is not None and self.input_shape == input_shape:
            return self.output_shape
        if self.output_shape is not None:
            raise ValueError(
                f"must have input of shape {self.input_shape}, for which it was built, got {input_shape}"
            )
        self._rng, self._dtype = rng, dtype
        self._variables = []
        self.build(input_shape)
        shape = tuple(self.compute_output_shape(input_shape))
        if len(shape) < 2:
            raise ValueError(f"must return output of at least 2 axes, (batch, channels), got {shape}")
        self.input_shape, self.output_shape = input_shape, shape
        return shape

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the ops that apply this layer to x, a channels-first buffer.

        The default calls `forward` and `backward` on batch-first arrays; the
        built-in layers override it.
        """
        assert self.output_shape is not None
        *middle, channels = self.output_shape[1:]
        out = context.empty((channels, *middle, x.shape[-1]))
        x_gradient = context.empty(x.shape) if context.needs_gradient else None

        def forward(x: Array) -> Array:
            values = self.forward(np.ascontiguousarray(to_channels_first(x)), context.training)
            _copy_result(self, "forward", values, out)
            return out

        def backward(x: Array, gradient: Array) -> Array:
            below = self.backward(np.ascontiguousarray(to_channels_first(gradient)))
            if x_gradient is None:
                return gradient
            _copy_result(self, "backward", below, x_gradient)
            return x_gradient

        return [Op(out, forward, backward)]

    def __call__(self, x: Any, training: bool | None = None) -> Array:
        """Return the output for a batch of numbers.

        A layer that is not built yet is built for the shape of x.

        Parameters
        ----------
        x
            Array-like; the first axis is the batch.
        training
            Whether dropout and batch statistics are active; by default they are not.

        Raises
        ------
        TypeError, ValueError
            If x is not an array of numbers, or has another shape than the layer's input.
        """
        values = as_values(x)
        if not self.built:
            self.ensure_built((None, *values.shape[1:]), np.random.default_rng(), self._dtype)
            flatten_variables(self.weights, self._dtype)
        assert self.input_shape is not None
        if values.shape[1:] != self.input_shape[1:]:
            raise ValueError(f"x must have shape {self.input_shape} for {self.name!r}, got {values.shape}")
        source = out = np.array(to_channels_first(values), self.input_dtype(self._dtype), order="C")
        context = BindContext(self._dtype, self._rng, bool(training), False, may_overwrite=False)
        for op in self.bind(source, context):
            out = op.forward(out)
        return np.array(to_channels_first(out), order="C")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values."""
        config: dict[str, Any] = {"name": self.given_name or self.name or None, "trainable": self.trainable}
        if self.given_input_shape is not None:
            config["input_shape"] = list(self.given_input_shape)
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a layer, not built, from the result of `get_config`."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name!r} output_shape={self.output_shape}>"


def _copy_result(layer: Layer, method: str, result: Any, into: Array) -> None:
    """Copy the result of a user's method into a channels-first buffer."""
    values = np.asarray(result)
    target = to_channels_first(into)
    if values.shape != target.shape:
        raise ValueError(
            f"{method} of the layer {layer.name!r} must return an array of shape {target.shape}, "
            f"got {values.shape if values.dtype != object else result!r}"
        )
    np.copyto(target, values, casting="same_kind")


def _reject(layer: type[Layer], name: str) -> NoReturn:
    known = [each for each in layer.__init__.__code__.co_varnames if each != "self"]
    known += list(LayerOptions.__annotations__)
    raise TypeError(f"{layer.__name__} has no argument {name!r}{did_you_mean(name, known)}")


def validate_shape(name: str, shape: object) -> tuple[int, ...]:
    """Return the shape of one sample as a tuple; raise TypeError or ValueError."""
    remedy = "without the batch axis, such as (784,) or (28, 28, 1)"
    if isinstance(shape, str) or not isinstance(shape, Sequence):
        raise TypeError(f"{name} must be a tuple of integers {remedy}, got {shape!r}")
    lengths = tuple(shape)
    if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n > 0 for n in lengths):
        raise ValueError(f"{name} must be positive integers {remedy}, got {shape!r}")
    return tuple(int(n) for n in lengths)
