"""Whether data fits a model: asked before the first stage fires."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from onstage.nn.losses import Loss
from onstage.nn.losses.base import batch_shape
from onstage.nn.network import Network


class HasShape(Protocol):
    """A specification of one sample, or an array with the batch axis first."""

    shape: tuple[int, ...]
    dtype: Any


def check_dtype(name: str, dtype: Any) -> None:
    """Refuse what isn't numbers: strings, objects, dates, complex numbers.

    Raises
    ------
    TypeError
        Says what was given.
    """
    if getattr(dtype, "kind", None) not in ("b", "i", "u", "f"):
        raise TypeError(f"{name} must be an array of numbers, got {dtype}; turn it into numbers first")


def check_input(model: Network, shape: tuple[int, ...], dtype: Any) -> None:
    """Refuse an x of another shape; `shape` is without the batch axis.

    Raises
    ------
    ValueError, TypeError
        Names the layer and what it takes.
    """
    check_dtype("x", dtype)
    wanted = tuple(n for n in model.input_shape[1:] if n is not None)
    if shape == wanted:
        return
    remedy = ""
    if np.prod(shape, dtype=int) == np.prod(wanted, dtype=int):
        remedy = f"; reshape it with x.reshape({', '.join(map(str, (-1, *wanted)))})"
    raise ValueError(
        f"x must have shape {batch_shape(wanted)}, as the layer {model.layers[0].name!r} takes it, "
        f"got {batch_shape(shape)}{remedy}"
    )


def check_target(model: Network, loss: Loss, y: Any, y_range: tuple[int, int] | None = None) -> None:
    """Refuse a y that doesn't fit the output and the loss.

    Parameters
    ----------
    y
        A specification of one sample, an array of a batch, or None.
    y_range
        Lowest and highest of integer labels, where that is known.

    Raises
    ------
    ValueError, TypeError
        Says what y must be.
    """
    if y is None:
        raise ValueError("y must be given to train or to measure a model, got None")
    shape = tuple(y.shape[1:] if isinstance(y, np.ndarray) else y.shape)
    check_dtype("y", y.dtype)
    output = tuple(n for n in model.output_shape[1:] if n is not None)
    loss.check_target(shape, output)
    if loss.sparse and y_range is not None and (y_range[0] < 0 or y_range[1] >= output[-1]):
        raise ValueError(
            f"y must hold class numbers in [0, {output[-1]}) for the loss {loss.name!r}, "
            f"got {y_range[0]} to {y_range[1]}; the last layer {model.layers[-1].name!r} must have a unit "
            "for each class"
        )
