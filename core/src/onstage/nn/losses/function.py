"""A custom function as a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn.execution.ops import Op, to_channels_first
from onstage.nn.losses.base import BoundLoss, Loss


class FunctionLoss(Loss):
    """A function ``f(y_true, y_pred)`` as a loss.

    Parameters
    ----------
    function
        Takes batch-first arrays and returns the loss of each sample, of shape
        ``(batch,)`` or with further axes, which are averaged. It may return a
        pair: that loss, and its derivatives, of the shape of `y_pred`.
        Otherwise the derivatives are estimated by calling it on float64 twice
        per output: accurate to about eight digits, and slow for many outputs.
        Each sample's loss must depend on that sample alone.

    Examples
    --------
    >>> import numpy as np
    >>> def cubic(y_true, y_pred):
    ...     return np.abs(y_pred - y_true) ** 3
    >>> FunctionLoss(cubic)([[0.0], [0.0]], [[1.0], [2.0]])
    4.5
    """

    def __init__(self, function: Callable[[Array, Array], Any]) -> None:
        self.function = function

    @property
    def name(self) -> str:
        """The function's name."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def check_target(self, y_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
        """Accept any y: only the function knows its shape."""

    def bind(self, predictions: Array, last: Op | None, y_shape: tuple[int, ...]) -> BoundLoss:
        """Bind the loss to a plan's prediction buffer."""
        values = np.empty(predictions.shape[-1], predictions.dtype)
        slopes = np.empty_like(predictions)
        pending: list[tuple[Array, Array]] = []

        def forward(y: Array) -> None:
            y_pred = np.ascontiguousarray(to_channels_first(predictions))
            result = self.function(y, y_pred)
            if isinstance(result, tuple):
                result, gradient = result
                np.copyto(
                    slopes, to_channels_first(np.asarray(gradient).reshape(y_pred.shape)), casting="same_kind"
                )
            else:
                pending[:] = [(y, y_pred)]
            values[:] = self._per_sample(result, len(y_pred))

        def backward(weights: Array | None) -> Array:
            if pending:
                np.copyto(slopes, to_channels_first(self._slopes(*pending.pop())), casting="same_kind")
            np.multiply(slopes, 1 / values.size, slopes)
            if weights is not None:
                np.multiply(slopes, weights, slopes)
            return slopes

        return BoundLoss(values, forward, backward)

    def _per_sample(self, result: Any, n: int) -> Array:
        values = np.asarray(result)
        if values.ndim == 0 or values.shape[0] != n:
            raise ValueError(
                f"loss {self.name!r} must return one value for each of the {n} samples, got shape "
                f"{values.shape}; take the mean over all axes but the first"
            )
        means: Array = values.reshape(n, -1).mean(axis=1)
        return means

    def _slopes(self, y: Array, y_pred: Array) -> Array:
        exact = y_pred.astype(np.float64).reshape(len(y_pred), -1)
        slopes = np.empty_like(exact)
        for column in range(exact.shape[1]):
            # The cube root of the float64 epsilon balances rounding and truncation error.
            width = 6e-6 * np.maximum(1.0, np.abs(exact[:, column]))
            ends = []
            for sign in (1, -1):
                moved = exact.copy()
                moved[:, column] += sign * width
                ends.append(self._per_sample(self.function(y, moved.reshape(y_pred.shape)), len(exact)))
            slopes[:, column] = (ends[0] - ends[1]) / (2 * width)
        return slopes.reshape(y_pred.shape)

    def get_config(self) -> dict[str, Any]:
        """Return the function itself; saving a model writes its name instead."""
        return {"function": self.function}
