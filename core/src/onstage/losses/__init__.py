"""Losses: the value that training minimizes."""

from onstage.nn.losses import *  # noqa: F403
from onstage.nn.losses import __all__ as __all__
