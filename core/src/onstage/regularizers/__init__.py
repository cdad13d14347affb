"""Regularizers: penalties on weights, added to the loss."""

from onstage.nn.regularizers import *  # noqa: F403
from onstage.nn.regularizers import __all__ as __all__
