"""Losses: what training makes small."""

from onstage.nn.losses import *  # noqa: F403
from onstage.nn.losses import __all__ as __all__
