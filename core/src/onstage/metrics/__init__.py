"""Metrics: what the logs tell about predictions besides the loss."""

from onstage.nn.metrics import *  # noqa: F403
from onstage.nn.metrics import __all__ as __all__
