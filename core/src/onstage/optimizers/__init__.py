"""Optimizers: update parameters from their gradients."""

from onstage.nn.optimizers import *  # noqa: F403
from onstage.nn.optimizers import __all__ as __all__
