"""Learning rates that change with every step of the optimizer."""

from onstage.nn.schedules import *  # noqa: F403
from onstage.nn.schedules import __all__ as __all__
