"""Trainer: fit, evaluate and predict for any backend."""

from onstage.trainer._fit import Trainer

__all__ = ["Trainer"]
