"""Metrics: values about predictions that are logged besides the loss."""

from onstage.nn.metrics import *  # noqa: F403
from onstage.nn.metrics import __all__ as __all__
