"""Learning rate schedules: the rate as a function of the optimizer step."""

from onstage.nn.schedules import *  # noqa: F403
from onstage.nn.schedules import __all__ as __all__
