"""Keras's backend functions, as callbacks use them; no operations on tensors.

Usually imported as ``from onstage.keras import backend as K``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from onstage.keras import _names
from onstage.model import Array
from onstage.nn.layers import Variable

__all__ = [
    "backend",
    "batch_get_value",
    "batch_set_value",
    "cast_to_floatx",
    "clear_session",
    "epsilon",
    "eval",
    "floatx",
    "get_value",
    "image_data_format",
    "int_shape",
    "set_floatx",
    "set_value",
]


def get_value(x: Any) -> Any:
    """Return the value of a variable as a number or an array.

    Parameters
    ----------
    x
        ``optimizer.learning_rate`` and the like, a layer's `Variable`, a torch
        tensor; any other object is returned as it is.

    Examples
    --------
    >>> from onstage.keras import backend as K
    >>> from onstage.keras.optimizers import SGD
    >>> optimizer = SGD(0.1)
    >>> K.set_value(optimizer.lr, 0.05)
    >>> float(K.get_value(optimizer.lr))
    0.05
    """
    if isinstance(x, Variable):
        return x.value.copy()
    if hasattr(x, "detach"):
        return x.detach().cpu().numpy()
    return x.numpy() if hasattr(x, "numpy") else x


eval = get_value


def set_value(x: Any, value: Any) -> None:
    """Set the value of a variable, in place.

    Parameters
    ----------
    x
        ``optimizer.learning_rate`` and the like, a layer's `Variable`, an
        array, or a torch tensor.

    Raises
    ------
    TypeError
        If it cannot be set in place: a number, for example.
    """
    if isinstance(x, Variable):
        x.value[...] = value
    elif isinstance(x, np.ndarray):
        x[...] = value
    elif hasattr(x, "assign"):
        x.assign(value)
    elif hasattr(x, "copy_"):
        x.detach().copy_(x.new_tensor(value))
    else:
        raise TypeError(
            f"set_value must get a variable, such as optimizer.learning_rate, got {x!r}; "
            "set the attribute that holds it instead: optimizer.weight_decay = 0.01"
        )


def batch_get_value(variables: Iterable[Any]) -> list[Any]:
    """Return the values of variables; see `get_value`."""
    return [get_value(each) for each in variables]


def batch_set_value(pairs: Iterable[tuple[Any, Any]]) -> None:
    """Set the variables of pairs ``(variable, value)``; see `set_value`."""
    for variable, value in pairs:
        set_value(variable, value)


def int_shape(x: Any) -> tuple[int | None, ...]:
    """Return the shape of an array or a variable."""
    return tuple(x.shape)


def cast_to_floatx(x: Any) -> Array:
    """Convert to an array of type float32."""
    return np.asarray(x, floatx())


def epsilon() -> float:
    """Return the small number that losses add to avoid a division by 0."""
    return 1e-7


def floatx() -> str:
    """Return the type of new weights: ``"float32"``."""
    return "float32"


def set_floatx(value: str) -> None:
    """Accept ``"float32"``; ValueError for another type, which a model has by itself."""
    if value != floatx():
        raise ValueError(f"floatx must be 'float32', got {value!r}; pass dtype={value!r} to Sequential")


def image_data_format() -> str:
    """Return ``"channels_last"``, the layout of images."""
    return "channels_last"


def backend() -> str:
    """Return ``"numpy"``."""
    return "numpy"


def clear_session() -> None:
    """Do nothing: models share no state that could be cleared."""


if not TYPE_CHECKING:  # a type checker would accept every name
    __getattr__ = _names.refuse_missing(
        __name__,
        __all__,
        {
            "function": "call the layers one after the other on a numpy array: `for layer in "
            "model.layers: x = layer(x)`",
            "set_epsilon": "its value is fixed",
            "learning_phase": "pass training=False or True to the model or the layer",
        },
        otherwise=_names.NUMPY,
    )
