"""Keras's losses, as onstage has them."""

from typing import TYPE_CHECKING

from onstage.keras import _names
from onstage.nn.losses import *  # noqa: F403
from onstage.nn.losses import __all__ as __all__

if not TYPE_CHECKING:  # a type checker would accept every name
    __getattr__ = _names.refuse_missing(__name__, __all__, otherwise=_names.TORCH)
