"""Initializers: the initial weights of a layer."""

from onstage.nn.initializers import *  # noqa: F403
from onstage.nn.initializers import __all__ as __all__
