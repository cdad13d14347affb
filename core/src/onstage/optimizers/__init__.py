"""Optimizers: how gradients change the parameters."""

from onstage.nn.optimizers import *  # noqa: F403
from onstage.nn.optimizers import __all__ as __all__
