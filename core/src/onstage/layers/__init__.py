"""Layers of a `Sequential` model."""

from onstage.nn.layers import *  # noqa: F403
from onstage.nn.layers import __all__ as __all__
