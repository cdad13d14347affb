"""Activations: functions of one array, with their derivatives.

Call one on an array, or use it in a layer: ``Dense(3, activation="relu")``,
``Dense(3, activation=activations.LeakyReLU(0.1))``.

Examples
--------
>>> from onstage import activations
>>> activations.relu([-1.0, 2.0])
array([0., 2.])
"""

from __future__ import annotations

from onstage.nn import serialization
from onstage.nn.activations.base import Activation
from onstage.nn.activations.channelwise import Softmax
from onstage.nn.activations.elementwise import ELU, GELU, LeakyReLU, Linear, ReLU, Sigmoid, Softplus, Tanh

__all__ = [
    "ELU",
    "GELU",
    "TABLE",
    "Activation",
    "LeakyReLU",
    "Linear",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "elu",
    "gelu",
    "get",
    "leaky_relu",
    "linear",
    "relu",
    "sigmoid",
    "softmax",
    "softplus",
    "tanh",
]

linear = Linear()
relu = ReLU()
leaky_relu = LeakyReLU()
elu = ELU()
gelu = GELU()
sigmoid = Sigmoid()
tanh = Tanh()
softplus = Softplus()
softmax = Softmax()

_CLASSES: dict[str, type[Activation]] = {
    "linear": Linear,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "elu": ELU,
    "gelu": GELU,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "softplus": Softplus,
    "softmax": Softmax,
}
TABLE = serialization.by_name(_CLASSES.values(), **_CLASSES)
"""All names that `get` accepts."""


def get(identifier: object) -> Activation:
    """Return an activation from a name, configuration or instance; linear for None.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it has another type. A plain function has no derivative.
    """
    if identifier is None:
        return linear
    if isinstance(identifier, Activation):
        return identifier
    if callable(identifier) and not isinstance(identifier, type):
        raise TypeError(
            f"activation must be a name or an Activation, got the function {identifier!r}; "
            "subclass onstage.activations.Activation with value() and slope()"
        )
    return serialization.deserialize("activation", identifier, TABLE)
