"""Keras's optimizers, as onstage has them; `schedules` are a module of their own."""

from typing import TYPE_CHECKING

from onstage.keras import _names
from onstage.keras.optimizers import schedules as schedules
from onstage.nn.optimizers import *  # noqa: F403
from onstage.nn.optimizers import __all__ as _optimizers

__all__ = [*_optimizers, "schedules"]  # names of the numpy backend

if not TYPE_CHECKING:
    __getattr__ = _names.refuse_missing(
        __name__,
        __all__,
        {"legacy": "its optimizers have the names of this module"},
        otherwise=_names.TORCH,
    )
