"""Figures: pictures of the validation after epochs."""

from onstage_figures.callback import Figures

__all__ = ["Figures"]
