"""Files of models: which format a path stands for, and what is in a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from onstage.errors import StateError
from onstage.model import State
from onstage.nn.execution.compiled import CompiledNetwork
from onstage.nn.network import Network
from onstage.nn.saving import keras
from onstage.nn.saving._config import CONFIG_ERRORS, compile_model, make_model, model_config
from onstage.nn.saving._state import (
    MODEL,
    WEIGHTS,
    get_arrays,
    has_kind,
    load_state,
    saved_layers,
    snapshot,
    snapshot_weights,
    state_in,
    weights_in,
)
from onstage.state import storage
from onstage.validation import validate_state_path

StrPath: TypeAlias = str | PathLike[str]
_Network = TypeVar("_Network", bound=CompiledNetwork)


def save(model: CompiledNetwork, filepath: StrPath, overwrite: bool, weights_only: bool) -> None:
    """Write a model; see `Sequential.save` and `Sequential.save_weights`."""
    write = snapshot_writer(model, filepath, weights_only)
    if not overwrite and Path(filepath).exists():
        raise FileExistsError(f"filepath {str(filepath)!r} exists; pass overwrite=True to replace it")
    write(filepath, snapshot_weights(model) if weights_only else snapshot(model))


def snapshot_writer(
    model: CompiledNetwork, filepath: StrPath, weights_only: bool
) -> Callable[[StrPath, State], None]:
    """Return the function that writes a snapshot; see `Sequential.snapshot_writer`."""
    suffix = os.fspath(filepath).lower()
    if suffix.endswith(".weights.h5") and weights_only:
        return keras.weights_writer(saved_layers(model))
    if suffix.endswith(".keras") and not weights_only:
        return keras.model_writer(model_config(model), saved_layers(model))
    if suffix.endswith((".weights.h5", ".keras")):
        method, right = ("save_weights", ".weights.h5") if weights_only else ("save", ".keras")
        raise ValueError(
            f"filepath must end with {right!r} for {method} in Keras's format, got {os.fspath(filepath)!r}"
        )
    validate_state_path(filepath)
    return storage.save


def load_weights(model: Network, filepath: StrPath) -> None:
    """Load the weights from a file of either kind."""
    content = keras.read_if_foreign(filepath)
    if content is not None:
        return keras.load_weights(model, filepath, content)
    saved = storage.load(filepath)
    if not has_kind(WEIGHTS, saved) and not has_kind(MODEL, saved):
        raise StateError(
            f"filepath must be a file written by model.save_weights() or model.save(), got {str(filepath)!r}"
        )
    try:
        model.set_weights(weights_in(saved))
    except (ValueError, TypeError) as error:
        raise StateError(f"{str(filepath)!r} doesn't fit the model: {error}") from error


def load_model(
    kind: type[_Network], filepath: StrPath, custom_objects: Mapping[str, Any], compile: bool
) -> _Network:
    """Load a model from a file; see `sequential.load_model`."""
    content = keras.read_if_foreign(filepath)
    if content is not None:
        return keras.load_model(kind, filepath, content, custom_objects, compile)
    saved = storage.load(filepath)
    if not has_kind(MODEL, saved):
        raise StateError(f"filepath must be a file written by model.save(), got {str(filepath)!r}")
    try:
        state = state_in(saved)
        most_weights = sum(each.size for each in get_arrays(state.get("weights")))
        model = make_model(kind, saved, custom_objects, most_weights)
        if compile and saved["compile"] is not None:
            compile_model(model, saved["compile"], custom_objects)
        load_state(model, state if compile else state | {"optimizer": None})
    except CONFIG_ERRORS as error:
        raise StateError(f"{str(filepath)!r} cannot be loaded: {error}") from error
    return model
