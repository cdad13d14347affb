"""Optimizers: how gradients change the parameters."""

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
# Keras's strings for optimizers are in lower case, not in snake case.
_OPTIMIZERS = {name: each for each in _CLASSES for name in (each.__name__, each.__name__.lower())}


def get(identifier: object) -> Optimizer:
    """Give an optimizer.

    Parameters
    ----------
    identifier
        An instance; a name such as ``"adam"``, with default arguments; or a
        saved configuration, ``{"class_name": name, "config": arguments}``.

    Raises
    ------
    ValueError
        The name is unknown, or an argument out of its range.
    TypeError
        It is nothing of that kind, or has an unknown argument.
    """
    if isinstance(identifier, Optimizer):
        return identifier
    return serialization.make("optimizer", identifier, _OPTIMIZERS)
