"""Activations: functions of one array, with their derivatives."""

from onstage.nn.activations import *  # noqa: F403
from onstage.nn.activations import __all__ as __all__
