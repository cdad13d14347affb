"""Keras's pretrained networks: every name is refused with the way to do without."""

from onstage.keras import _names

__getattr__ = _names.refuse_missing(__name__, (), otherwise=_names.TORCH)
