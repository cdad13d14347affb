"""Keras's models: `Sequential`, loading and cloning it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from onstage.keras import _names
from onstage.keras.saving import get_custom_objects
from onstage.keras.saving import load_model as load_model
from onstage.keras.saving import save_model as save_model
from onstage.nn.layers import Layer
from onstage.nn.sequential import Sequential as Sequential
from onstage.nn.sequential import model_from_json as model_from_json

__all__ = ["Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


def clone_model(
    model: Sequential, input_tensors: None = None, clone_function: Callable[[Layer], Layer] | None = None
) -> Sequential:
    """Return a model of the same layers with new weights; it is not compiled.

    Parameters
    ----------
    input_tensors
        None: a Sequential has no graph to attach to another one.
    clone_function
        Returns the new layer for a layer; by default one of its configuration.

    Raises
    ------
    TypeError
        If the model is not a Sequential.

    Examples
    --------
    >>> from onstage import keras
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> twin = keras.models.clone_model(model)
    >>> twin.set_weights(model.get_weights())
    """
    if not isinstance(model, Sequential):
        raise TypeError(
            f"model must be a Sequential, got {type(model).__name__}; copy a torch module by copy.deepcopy"
        )
    if input_tensors is not None:
        raise ValueError(f"input_tensors must be None, got {input_tensors!r}")
    config = model.get_config()
    if clone_function is not None:
        config["layers"] = [clone_function(layer) for layer in model.layers]
    custom = {type(layer).__name__: type(layer) for layer in model.layers}
    return Sequential.from_config(config, {**custom, **get_custom_objects()})


if not TYPE_CHECKING:  # a type checker would accept every name
    __getattr__ = _names.refuse_missing(
        __name__, __all__, dict.fromkeys(("Model", "Functional"), _names.TORCH)
    )
