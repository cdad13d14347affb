"""Activation: a function of one array, with its derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn.execution.ops import BindContext, Op, to_channels_first


class Activation:
    """A function of one array; made to be subclassed by `value` and `slope`."""

    in_place = True
    """Whether `slope` does without x, so that `value` may write over it."""

    def value(self, x: Array, out: Array) -> None:
        """Write the function of x; `out` may be x where `in_place` says so."""
        raise NotImplementedError(f"{type(self).__name__} must define value(self, x, out)")

    def slope(self, x: Array, out: Array, slope: Array) -> None:
        """Write the derivative; `out` is the function's value at x.

        x is overwritten by then if `in_place`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define slope(self, x, out, slope)")

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the step that applies this to x; see `steps`."""
        out = x if context.may_overwrite and self.in_place else np.empty(x.shape, context.dtype)
        slope = np.empty(x.shape, context.dtype) if context.training else out

        def forward(x: Array) -> Array:
            self.value(x, out)
            return out

        def backward(x: Array, gradient: Array) -> Array:
            self.slope(x, out, slope)
            return np.multiply(gradient, slope, slope)

        return [Op(out, forward, backward)]

    def __call__(self, x: Any) -> Array:
        """Give the function of an array whose last axis is that of the channels."""
        values = np.asarray(x)
        if values.dtype.kind != "f":
            values = values.astype(np.float32)
        values = np.atleast_1d(values)
        context = BindContext(values.dtype, np.random.default_rng(0), False, False, False)
        (step,) = self.bind(to_channels_first(values), context)
        out = to_channels_first(step.forward(to_channels_first(values)))
        return np.ascontiguousarray(out).reshape(np.shape(x))

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {}
