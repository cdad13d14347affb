"""Elementwise activations."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn.activations.base import Activation
from onstage.nn.execution.ops import BindContext, Op, SigmoidLogits
from onstage.nn.special import erf
from onstage.validation import validate_bool, validate_float


class Linear(Activation):
    """The identity."""

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make no op."""
        return []

    def __call__(self, x: Any) -> Array:
        """Return x as an array."""
        return np.asarray(x)


class ReLU(Activation):
    """max(x, 0); the derivative at 0 is 0."""

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the op; its slopes, 0 or 1, are booleans, a quarter of the memory."""
        out = x if context.may_overwrite else context.empty(x.shape)
        positive = context.empty(x.shape, np.bool_)
        # numpy handles a 0-d array faster than a Python number.
        zero = np.zeros((), context.dtype)

        def forward(x: Array) -> Array:
            return np.maximum(x, zero, out=out)

        def backward(x: Array, gradient: Array) -> Array:
            np.greater(out, zero, positive)
            return np.multiply(gradient, positive, gradient)

        return [Op(out, forward, backward)]


class LeakyReLU(Activation):
    """x if x > 0, else `negative_slope` * x.

    Parameters
    ----------
    negative_slope
        Slope for x < 0, in [0, 1].
    """

    def __init__(self, negative_slope: float = 0.2) -> None:
        self.negative_slope = validate_float("negative_slope", negative_slope, 0, 1)

    def value(self, x: Array, out: Array) -> None:
        """Write the activation of x."""
        # The slope is at most 1, so the activation is the larger of the two lines.
        np.maximum(x, x * x.dtype.type(self.negative_slope), out=out)

    def slope(self, x: Array, out: Array, slope: Array) -> None:
        """Write the derivative."""
        slope.fill(self.negative_slope)
        np.copyto(slope, 1.0, where=out > 0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"negative_slope": self.negative_slope}


class ELU(Activation):
    """x if x > 0, else `alpha` * (exp(x) - 1).

    References
    ----------
    Clevert, Unterthiner, Hochreiter: *Fast and Accurate Deep Network Learning
    by Exponential Linear Units* (2016).
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = validate_float("alpha", alpha, 0, exclude={0})

    def value(self, x: Array, out: Array) -> None:
        """Write the activation of x."""
        # The minimum keeps expm1 from overflowing for x > 0, where it is not used.
        below = np.expm1(np.minimum(x, 0)) * x.dtype.type(self.alpha)
        np.maximum(x, 0, out=out)
        np.add(out, below, out)

    def slope(self, x: Array, out: Array, slope: Array) -> None:
        """Write the derivative; below 0, alpha * exp(x) is the value + alpha."""
        np.minimum(out, 0, out=slope)
        slope += self.alpha
        np.copyto(slope, 1.0, where=out > 0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"alpha": self.alpha}


class GELU(Activation):
    """x * Φ(x), with Φ the cumulative distribution function of the standard normal.

    Parameters
    ----------
    approximate
        Whether to use the tanh approximation of Φ, as GPT-2 does.

    References
    ----------
    Hendrycks, Gimpel: *Gaussian Error Linear Units* (2016).
    """

    in_place = False

    def __init__(self, approximate: bool = False) -> None:
        self.approximate = validate_bool("approximate", approximate)

    def value(self, x: Array, out: Array) -> None:
        """Write the activation of x."""
        np.multiply(x, self._distribution(x), out)

    def slope(self, x: Array, out: Array, slope: Array) -> None:
        """Write the derivative, Φ(x) + x Φ'(x)."""
        distribution = self._distribution(x)
        if self.approximate:
            inner = math.sqrt(8 / math.pi) * (1 + 3 * 0.044715 * x * x)
            density = distribution * (1 - distribution) * inner
        else:
            density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        np.add(distribution, x * density, slope)

    def _distribution(self, x: Array) -> Array:
        if self.approximate:
            return 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        return 0.5 * (1 + erf(x * math.sqrt(0.5)))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"approximate": self.approximate}


class Sigmoid(Activation):
    """1 / (1 + exp(-x)); keeps x for a binary cross-entropy."""

    in_place = False

    def value(self, x: Array, out: Array) -> None:
        """Write the activation of x."""
        # Through tanh, which cannot overflow.
        np.multiply(x, 0.5, out)
        np.tanh(out, out)
        out += 1
        out *= 0.5

    def slope(self, x: Array, out: Array, slope: Array) -> None:
        """Write the derivative."""
        np.subtract(1, out, slope)
        slope *= out

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the op that applies the activation to x."""
        (op,) = super().bind(x, context)
        if not context.first:
            return [replace(op, logits=SigmoidLogits(x))]
        # The user's batch is a different array at each step, so its values are copied.
        kept = context.empty(x.shape)

        def forward(x: Array) -> Array:
            np.copyto(kept, x)
            return op.forward(kept)

        return [replace(op, forward=forward, logits=SigmoidLogits(kept))]


class Tanh(Activation):
    """The hyperbolic tangent."""

    def value(self, x: Array, out: Array) -> None:
        """Write the activation of x."""
        np.tanh(x, out)

    def slope(self, x: Array, out: Array, slope: Array) -> None:
        """Write the derivative."""
        np.multiply(out, out, slope)
        np.subtract(1, slope, slope)


class Softplus(Activation):
    """log(1 + exp(x))."""

    def value(self, x: Array, out: Array) -> None:
        """Write the activation of x."""
        np.logaddexp(x, x.dtype.type(0), out)

    def slope(self, x: Array, out: Array, slope: Array) -> None:
        """Write the derivative: the sigmoid, which is 1 - exp(-value)."""
        np.negative(out, slope)
        np.expm1(slope, slope)
        np.negative(slope, slope)
