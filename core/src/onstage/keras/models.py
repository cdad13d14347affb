"""Keras's models: `Sequential`, and loading it."""

from typing import TYPE_CHECKING

from onstage.keras import _names
from onstage.keras.saving import load_model as load_model
from onstage.keras.saving import save_model as save_model
from onstage.nn.sequential import Sequential as Sequential
from onstage.nn.sequential import model_from_json as model_from_json

__all__ = ["Sequential", "load_model", "model_from_json", "save_model"]

if not TYPE_CHECKING:  # a type checker would accept every name
    __getattr__ = _names.refuse_missing(
        __name__, __all__, dict.fromkeys(("Model", "Functional"), _names.TORCH)
    )
