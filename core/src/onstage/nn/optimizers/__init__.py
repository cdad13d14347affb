"""Optimizers: update parameters from their gradients."""

from __future__ import annotations

from onstage.nn import serialization
from onstage.nn.optimizers.adagrad import Adagrad
from onstage.nn.optimizers.adam import Adam, AdamW
from onstage.nn.optimizers.base import Optimizer
from onstage.nn.optimizers.blocks import Block
from onstage.nn.optimizers.options import Options
from onstage.nn.optimizers.rmsprop import RMSprop
from onstage.nn.optimizers.sgd import SGD

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Block", "Optimizer", "Options", "RMSprop", "get"]

_CLASSES: list[type[Optimizer]] = [SGD, RMSprop, Adam, AdamW, Adagrad]
# Keras's names of optimizers are in lower case, not in snake case.
_OPTIMIZERS = {name: each for each in _CLASSES for name in (each.__name__, each.__name__.lower())}


def get(identifier: object) -> Optimizer:
    """Return an optimizer.

    Parameters
    ----------
    identifier
        Instance; name such as ``"adam"``, for default arguments; or saved
        configuration, ``{"class_name": name, "config": arguments}``.

    Raises
    ------
    ValueError
        If the name is unknown, or an argument is out of range.
    TypeError
        If the identifier has an unsupported type, or an argument is unknown.
    """
    if isinstance(identifier, Optimizer):
        return identifier
    return serialization.deserialize("optimizer", identifier, _OPTIMIZERS)
