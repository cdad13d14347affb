"""The weights that a layer starts with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from onstage.model import Array
from onstage.nn import serialization
from onstage.validation import validate_choice, validate_float, validate_int

# Standard deviation of a standard normal cut off at two: dividing by it makes
# that of the cut distribution the one that was asked for.
TRUNCATED_STDDEV = 0.87962566103423978


class Initializer:
    """Gives an array of a shape. Made to be subclassed by `__call__`."""

    def __call__(
        self, shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> Array:
        """Give a new array; everything random in it comes from `rng`."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, shape, rng, dtype)")

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {}


class Constant(Initializer):
    """One value everywhere."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = validate_float("value", value)

    def __call__(
        self, shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> Array:
        """Give a new array; `rng` is not used."""
        return np.full(tuple(shape), self.value, dtype)

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {"value": self.value}


class Zeros(Initializer):
    """Zero everywhere."""

    def __call__(
        self, shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> Array:
        """Give a new array; `rng` is not used."""
        return np.zeros(tuple(shape), dtype)


class Ones(Initializer):
    """One everywhere."""

    def __call__(
        self, shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> Array:
        """Give a new array; `rng` is not used."""
        return np.ones(tuple(shape), dtype)


class RandomInitializer(Initializer):
    """The base of those that draw: a seed of their own goes before `rng`.

    Parameters
    ----------
    seed
        None draws from the `rng` of the call. With an integer every call gives
        the same values, whatever the `rng`.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = None if seed is None else validate_int("seed", seed, 0)

    def __call__(
        self, shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> Array:
        """Give a new array, drawn from `rng` or by the initializer's seed."""
        rng = rng if self.seed is None else np.random.default_rng(self.seed)
        return self.draw(tuple(shape), rng).astype(dtype, order="C", copy=False)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw float64 values of a shape."""
        raise NotImplementedError(f"{type(self).__name__} must define draw(self, shape, rng)")

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {"seed": self.seed}


class RandomNormal(RandomInitializer):
    """A normal distribution."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = validate_float("mean", mean)
        self.stddev = validate_float("stddev", stddev, 0)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw float64 values of a shape."""
        return rng.normal(self.mean, self.stddev, shape)

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {"mean": self.mean, "stddev": self.stddev, "seed": self.seed}


class TruncatedNormal(RandomNormal):
    """A normal distribution without what is over two deviations from its mean.

    `stddev` is that of the whole distribution; what remains has 0.88 times it.
    """

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw float64 values of a shape."""
        return self.mean + self.stddev * _truncated_standard_normal(shape, rng)


class RandomUniform(RandomInitializer):
    """A uniform distribution over [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval = validate_float("minval", minval)
        self.maxval = validate_float("maxval", maxval, self.minval)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw float64 values of a shape."""
        return rng.uniform(self.minval, self.maxval, shape)

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {"minval": self.minval, "maxval": self.maxval, "seed": self.seed}


class VarianceScaling(RandomInitializer):
    """A distribution whose variance is `scale` over the fan.

    Parameters
    ----------
    scale
        The factor, > 0.
    mode
        ``"fan_in"``, ``"fan_out"``, or ``"fan_avg"`` for their mean: what the
        variance is divided by. See `fans`.
    distribution
        ``"truncated_normal"``, ``"untruncated_normal"`` or ``"uniform"``.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        self.scale = validate_float("scale", scale, 0, exclude={0})
        self.mode = validate_choice("mode", mode, ("fan_in", "fan_out", "fan_avg"))
        self.distribution = validate_choice(
            "distribution", distribution, ("truncated_normal", "untruncated_normal", "uniform")
        )

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw float64 values of a shape."""
        fan_in, fan_out = fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return rng.uniform(-limit, limit, shape)
        stddev = math.sqrt(variance)
        if self.distribution == "untruncated_normal":
            return rng.normal(0.0, stddev, shape)
        return stddev / TRUNCATED_STDDEV * _truncated_standard_normal(shape, rng)

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "seed": self.seed,
        }


class _Preset(VarianceScaling):
    """A `VarianceScaling` of which only the seed is open."""

    _scale: float
    _mode: str
    _distribution: str

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(self._scale, self._mode, self._distribution, seed)

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {"seed": self.seed}


class GlorotUniform(_Preset):
    """Uniform within ±sqrt(6 / (fan_in + fan_out)); the default of kernels.

    References
    ----------
    Glorot, Bengio: *Understanding the difficulty of training deep feedforward
    neural networks* (2010).
    """

    _scale, _mode, _distribution = 1.0, "fan_avg", "uniform"


class GlorotNormal(_Preset):
    """Truncated normal of variance 2 / (fan_in + fan_out); see `GlorotUniform`."""

    _scale, _mode, _distribution = 1.0, "fan_avg", "truncated_normal"


class HeUniform(_Preset):
    """Uniform within ±sqrt(6 / fan_in), for layers with relu.

    References
    ----------
    He, Zhang, Ren, Sun: *Delving Deep into Rectifiers* (2015).
    """

    _scale, _mode, _distribution = 2.0, "fan_in", "uniform"


class HeNormal(_Preset):
    """Truncated normal of variance 2 / fan_in; see `HeUniform`."""

    _scale, _mode, _distribution = 2.0, "fan_in", "truncated_normal"


class LecunUniform(_Preset):
    """Uniform within ±sqrt(3 / fan_in).

    References
    ----------
    LeCun, Bottou, Orr, Müller: *Efficient BackProp* (1998).
    """

    _scale, _mode, _distribution = 1.0, "fan_in", "uniform"


class LecunNormal(_Preset):
    """Truncated normal of variance 1 / fan_in; see `LecunUniform`."""

    _scale, _mode, _distribution = 1.0, "fan_in", "truncated_normal"


class Orthogonal(RandomInitializer):
    """A random matrix with orthonormal rows or columns, times `gain`.

    All axes but the last are taken together as the rows.

    References
    ----------
    Saxe, McClelland, Ganguli: *Exact solutions to the nonlinear dynamics of
    learning in deep linear neural networks* (2014). Mezzadri: *How to generate
    random matrices from the classical compact groups* (2007), for the signs.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = validate_float("gain", gain)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw float64 values of a shape; raises ValueError below two axes."""
        if len(shape) < 2:
            raise ValueError(f"shape must have at least two axes to be orthogonal, got {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        # Without this the distribution would depend on the signs that QR happens to choose.
        q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
        return self.gain * (q if rows >= columns else q.T).reshape(shape)

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {"gain": self.gain, "seed": self.seed}


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """Count the inputs and the outputs that each unit of a kernel has.

    Parameters
    ----------
    shape
        ``(d_in, d_out)``, or ``(height, width, channels_in, channels_out)`` of
        a convolution, where each weight's place in the window counts. A vector
        has its length as both.
    """
    if len(shape) < 2:
        fan = math.prod(shape)
        return fan, fan
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


def _truncated_standard_normal(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    values = rng.standard_normal(shape).reshape(-1)
    outside = np.flatnonzero(np.abs(values) > 2.0)
    while outside.size:
        values[outside] = rng.standard_normal(outside.size)
        outside = outside[np.abs(values[outside]) > 2.0]
    return values.reshape(shape)


class _FromFunction(Initializer):
    """A user's ``function(shape, dtype)``, or ``function(shape, rng, dtype)``."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._takes_rng = "rng" in signature(function).parameters

    def __call__(
        self, shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> Array:
        extra = {"rng": rng} if self._takes_rng else {}
        values = np.array(self.function(tuple(shape), dtype=dtype, **extra), dtype, order="C")
        return _of_shape(values, shape, f"initializer {getattr(self.function, '__name__', self.function)}")

    def get_config(self) -> dict[str, Any]:
        raise TypeError(
            f"initializer {self.function!r} cannot be saved, it is a function; use an initializer by name"
        )


class _FromArray(Initializer):
    """The values themselves."""

    def __init__(self, values: Array) -> None:
        self.values = values

    def __call__(
        self, shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> Array:
        return _of_shape(self.values.astype(dtype, order="C"), shape, "initializer array")

    def get_config(self) -> dict[str, Any]:
        raise TypeError("initializer array cannot be saved; use one of the initializers by name")


def _of_shape(values: Array, shape: Sequence[int], what: str) -> Array:
    if values.shape != tuple(shape):
        raise ValueError(f"{what} must have the shape {tuple(shape)}, got {values.shape}")
    return values


_INITIALIZERS: dict[str, type[Initializer]] = serialization.by_name(
    [
        *(Zeros, Ones, Constant, RandomNormal, TruncatedNormal, RandomUniform, VarianceScaling, Orthogonal),
        *(GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal),
    ],
    zero=Zeros,
    one=Ones,
    normal=RandomNormal,
    uniform=RandomUniform,
)


def get(identifier: object) -> Initializer:
    """Give an initializer.

    Parameters
    ----------
    identifier
        An instance; a name such as ``"he_normal"`` or ``"HeNormal"``; a saved
        configuration; an array, for these very values; or a function of
        ``(shape, dtype)`` or of ``(shape, rng, dtype)``.

    Raises
    ------
    ValueError
        The name is unknown.
    TypeError
        It is nothing of that kind.
    """
    if isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, np.ndarray):
        return _FromArray(identifier)
    if callable(identifier) and not isinstance(identifier, type):
        return _FromFunction(identifier)
    return serialization.make("initializer", identifier, _INITIALIZERS)
