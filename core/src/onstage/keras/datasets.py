"""Keras's data sets are downloads: every name is refused with the way to do without."""

from onstage.keras import _names

__getattr__ = _names.refuse_missing(__name__, (), otherwise=_names.NO_DOWNLOADS)
