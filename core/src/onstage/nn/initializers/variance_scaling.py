"""Initializers whose variance depends on the number of inputs and outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn.initializers.base import RandomInitializer
from onstage.nn.initializers.random import truncated_standard_normal
from onstage.validation import validate_choice, validate_float

# Standard deviation of a standard normal truncated at two; dividing by it gives the
# truncated distribution the requested deviation.
TRUNCATED_STDDEV = 0.87962566103423978


class VarianceScaling(RandomInitializer):
    """A distribution with a variance of `scale / fan`.

    Parameters
    ----------
    scale
        Factor, > 0.
    mode
        Fan: ``"fan_in"``, ``"fan_out"``, or ``"fan_avg"`` for their mean. See
        `fans`.
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
        return stddev / TRUNCATED_STDDEV * truncated_standard_normal(shape, rng)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "seed": self.seed,
        }


class _Preset(VarianceScaling):
    """A `VarianceScaling` with all arguments but the seed fixed."""

    _scale: float
    _mode: str
    _distribution: str

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(self._scale, self._mode, self._distribution, seed)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"seed": self.seed}


class GlorotUniform(_Preset):
    """Uniform within ±sqrt(6 / (fan_in + fan_out)); the default for kernels.

    References
    ----------
    Glorot, Bengio: *Understanding the difficulty of training deep feedforward
    neural networks* (2010).
    """

    _scale, _mode, _distribution = 1.0, "fan_avg", "uniform"


class GlorotNormal(_Preset):
    """Truncated normal with variance 2 / (fan_in + fan_out); see `GlorotUniform`."""

    _scale, _mode, _distribution = 1.0, "fan_avg", "truncated_normal"


class HeUniform(_Preset):
    """Uniform within ±sqrt(6 / fan_in), for layers with relu.

    References
    ----------
    He, Zhang, Ren, Sun: *Delving Deep into Rectifiers* (2015).
    """

    _scale, _mode, _distribution = 2.0, "fan_in", "uniform"


class HeNormal(_Preset):
    """Truncated normal with variance 2 / fan_in; see `HeUniform`."""

    _scale, _mode, _distribution = 2.0, "fan_in", "truncated_normal"


class LecunUniform(_Preset):
    """Uniform within ±sqrt(3 / fan_in).

    References
    ----------
    LeCun, Bottou, Orr, Müller: *Efficient BackProp* (1998).
    """

    _scale, _mode, _distribution = 1.0, "fan_in", "uniform"


class LecunNormal(_Preset):
    """Truncated normal with variance 1 / fan_in; see `LecunUniform`."""

    _scale, _mode, _distribution = 1.0, "fan_in", "truncated_normal"


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """Return the number of inputs and outputs of each unit of a kernel.

    Parameters
    ----------
    shape
        ``(d_in, d_out)``, or ``(height, width, channels_in, channels_out)`` of
        a convolution, where every position of the window counts. Both are the
        length if the kernel is a vector.

    Examples
    --------
    >>> fans((3, 3, 16, 32))
    (144, 288)
    """
    if len(shape) < 2:
        fan = math.prod(shape)
        return fan, fan
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window
