"""Activations: functions of one array, with their derivatives.

``activations.relu(x)`` computes; ``Dense(3, activation="relu")`` or
``activation=activations.LeakyReLU(0.1)`` use one in a layer.
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
"""Every name that `get` knows."""


def get(identifier: object) -> Activation:
    """Give an activation by name, configuration or instance; None is linear.

    Raises
    ------
    ValueError
        The name is unknown.
    TypeError
        It is something else; a plain function has no derivative to train by.
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
    return serialization.make("activation", identifier, TABLE)
