"""Check that data fit a model, before the first stage fires."""

from __future__ import annotations

from typing import Any

import numpy as np

from onstage.nn.losses import Loss
from onstage.nn.losses.base import format_shape
from onstage.nn.network import Network


def check_dtype(name: str, dtype: Any) -> None:
    """Raise TypeError unless the dtype is boolean, integer or real."""
    if getattr(dtype, "kind", None) not in ("b", "i", "u", "f"):
        remedy = "convert it to numbers first"
        if str(dtype).startswith("torch."):
            remedy = "convert each batch with .numpy(), or train a torch module with onstage_torch.TorchModel"
        raise TypeError(f"{name} must be an array of numbers, got {dtype}; {remedy}")


def check_input(model: Network, shape: tuple[int, ...], dtype: Any) -> None:
    """Raise unless x fits the first layer; `shape` is without the batch axis.

    Raises
    ------
    ValueError, TypeError
        If the shape differs, or the dtype is not numeric.
    """
    check_dtype("x", dtype)
    wanted = tuple(n for n in model.input_shape[1:] if n is not None)
    if shape == wanted:
        return
    remedy = ""
    if np.prod(shape, dtype=int) == np.prod(wanted, dtype=int):
        remedy = f"; reshape it with x.reshape({', '.join(map(str, (-1, *wanted)))})"
    raise ValueError(
        f"x must have shape {format_shape(wanted)}, the input of layer {model.layers[0].name!r}, "
        f"got {format_shape(shape)}{remedy}"
    )


def check_target(model: Network, loss: Loss, y: Any, y_range: tuple[int, int] | None = None) -> None:
    """Raise unless y fits the output and the loss.

    Parameters
    ----------
    y
        Specification of one sample, array of a batch, or None.
    y_range
        Lowest and highest integer label, if known.

    Raises
    ------
    ValueError, TypeError
        If y is missing, has another shape, or is not numeric.
    """
    if y is None:
        raise ValueError("y must be given to train or evaluate a model, got None")
    shape = tuple(y.shape[1:] if isinstance(y, np.ndarray) else y.shape)
    check_dtype("y", y.dtype)
    output = tuple(n for n in model.output_shape[1:] if n is not None)
    loss.check_target(shape, output)
    if loss.sparse and y_range is not None and (y_range[0] < 0 or y_range[1] >= output[-1]):
        raise ValueError(
            f"y must hold class numbers in [0, {output[-1]}) for the loss {loss.name!r}, "
            f"got {y_range[0]} to {y_range[1]}; the last layer {model.layers[-1].name!r} must have one "
            "unit per class"
        )
