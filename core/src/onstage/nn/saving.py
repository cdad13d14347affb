"""Save and load models as plain data; classes are looked up by name in tables."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from onstage.errors import StateError
from onstage.model import State
from onstage.nn import layers, serialization
from onstage.nn.execution.compiled import CompiledNetwork
from onstage.nn.layers.variable import limit_weights
from onstage.nn.losses import FunctionLoss
from onstage.nn.metrics import MeanMetricWrapper
from onstage.nn.network import Network
from onstage.state import storage

_Network = TypeVar("_Network", bound=CompiledNetwork)

MODEL, WEIGHTS = "onstage-model", "onstage-weights"

MAX_LAYERS = 2_000
"""Largest number of layers of a model in a file."""

_CONFIG_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Errors that constructors raise for a malformed configuration."""


def save_model(model: CompiledNetwork, filepath: str | PathLike[str], overwrite: bool) -> None:
    """Write the whole model; see `Sequential.save`."""
    _save(filepath, overwrite, snapshot(model))


def save_weights(model: Network, filepath: str | PathLike[str], overwrite: bool) -> None:
    """Write the weights alone; see `Sequential.save_weights`."""
    _save(filepath, overwrite, snapshot_weights(model))


def snapshot(model: CompiledNetwork) -> State:
    """Return the state that `save_model` writes; see `Sequential.snapshot`."""
    return {"kind": MODEL, **model_config(model), "state": state_view(model)}


def snapshot_weights(model: Network) -> State:
    """Return the state that `save_weights` writes."""
    return {"kind": WEIGHTS, "weights": model.weights_view()}


def state_view(model: CompiledNetwork) -> State:
    """Return the state without copying; `Sequential.state_dict` copies it."""
    return {
        "weights": model.weights_view(),
        "optimizer": None if model.optimizer is None else model.optimizer.state_view(),
        "rng": dict(model.rng.bit_generator.state),
    }


def _save(filepath: str | PathLike[str], overwrite: bool, state: State) -> None:
    if not overwrite and Path(filepath).exists():
        raise FileExistsError(f"filepath {str(filepath)!r} exists; pass overwrite=True to replace it")
    storage.save(filepath, state)


def load_weights(model: Network, filepath: str | PathLike[str]) -> None:
    """Load the weights from a file of either kind."""
    saved = storage.load(filepath)
    weights = saved.get("weights") if _has_kind(WEIGHTS, saved) else _get_part(saved, "state").get("weights")
    try:
        model.set_weights(_get_arrays(weights))
    except (ValueError, TypeError) as error:
        raise StateError(f"{str(filepath)!r} doesn't fit the model: {error}") from error


def load_model(
    kind: type[_Network], filepath: str | PathLike[str], custom_objects: Mapping[str, Any], compile: bool
) -> _Network:
    """Load a model from a file; see `sequential.load_model`."""
    saved = storage.load(filepath)
    if not _has_kind(MODEL, saved):
        raise StateError(f"filepath must be a file written by model.save(), got {str(filepath)!r}")
    try:
        state = _get_part(saved, "state")
        # A tiny file could ask for layers of any size; the weights it holds are the limit.
        with limit_weights(sum(each.size for each in _get_arrays(state.get("weights")))):
            model = _from_config(kind, saved, custom_objects)
        if compile and saved["compile"] is not None:
            model.compile(**_resolve(saved["compile"], custom_objects))
        load_state(model, state if compile else state | {"optimizer": None})
    except _CONFIG_ERRORS as error:
        raise StateError(f"{str(filepath)!r} cannot be loaded: {error}") from error
    return model


def load_state(model: CompiledNetwork, state: State) -> None:
    """Restore a model's state; see `Sequential.load_state_dict`."""
    weights = _get_arrays(state.get("weights") if isinstance(state, Mapping) else None)
    variables = model.weights
    if [w.shape for w in weights] != [v.shape for v in variables] or not model.built:
        raise StateError(
            f"the saved weights must have the shapes {[v.shape for v in variables]}, "
            f"got {[w.shape for w in weights]}; build the model as it was built when saved"
        )
    rng = np.random.PCG64()
    try:
        rng.state = state["rng"]
    except _CONFIG_ERRORS as error:
        raise StateError(f"the saved random state must be that of a PCG64 generator: {error!r}") from error
    slots = state.get("optimizer")
    if slots is not None and model.optimizer is not None:
        model.optimizer.load_state_dict(slots)  # changes nothing if it raises
    model.set_weights(weights)
    model.rng.bit_generator.state = rng.state


def model_config(model: CompiledNetwork) -> State:
    """Return the configuration of a model as plain data."""
    compiled_loss = model._compiled_loss
    compiled = None
    if compiled_loss is not None and model.optimizer is not None:
        compiled = {
            "optimizer": _to_config(model.optimizer),
            "loss": _to_config(compiled_loss.loss),
            "metrics": [_to_config(each) for each in compiled_loss.given_metrics],
            "weighted_metrics": [_to_config(each) for each in compiled_loss.given_weighted_metrics],
        }
    return {
        "name": model.name,
        "dtype": model.dtype.name,
        "input_shape": list(model.input_shape[1:]),
        "layers": [_to_config(layer) for layer in model.layers],
        "compile": compiled,
    }


def _from_config(kind: type[_Network], saved: State, custom_objects: Mapping[str, Any]) -> _Network:
    if len(saved["layers"]) > MAX_LAYERS:
        raise StateError(
            f"a saved model must have at most {MAX_LAYERS:,} layers, got {len(saved['layers']):,}"
        )
    made: list[layers.Layer] = [layers.Input(saved["input_shape"])]
    for config in _resolve(saved["layers"], custom_objects):
        own = isinstance(config, layers.Layer)
        made.append(config if own else serialization.deserialize("layer", config, layers.TABLE))
    return kind(made, name=saved["name"], dtype=saved["dtype"])


def _to_config(given: Any) -> Any:
    if isinstance(given, (str, Mapping)):
        return given
    if isinstance(given, FunctionLoss):
        return {"function": given.name}
    if isinstance(given, MeanMetricWrapper):
        return {"function": getattr(given.fn, "__name__", given.name)}
    if isinstance(given, type):
        return given.__name__
    if hasattr(given, "get_config"):
        return serialization.serialize(given)
    return {"function": getattr(given, "__name__", type(given).__name__)}


def _resolve(saved: Any, custom_objects: Mapping[str, Any]) -> Any:
    """Replace custom functions and classes anywhere in a tree."""
    if isinstance(saved, list):
        return [_resolve(each, custom_objects) for each in saved]
    if not isinstance(saved, dict):
        return saved
    if set(saved) == {"function"}:
        name = saved["function"]
        if name not in custom_objects:
            raise StateError(
                f"custom_objects must contain the function {name!r}, which a file cannot hold; "
                f"pass custom_objects={{{name!r}: the function}}, or compile=False"
            )
        return custom_objects[name]
    resolved = {key: _resolve(each, custom_objects) for key, each in saved.items()}
    if set(saved) == {"class_name", "config"} and saved["class_name"] in custom_objects:
        return custom_objects[saved["class_name"]](**resolved["config"])
    return resolved


def _has_kind(kind: str, saved: State) -> bool:
    given = saved.get("kind")
    return isinstance(given, str) and given == kind


def _get_part(saved: State, name: str) -> State:
    part = saved.get(name)
    if not isinstance(part, dict):
        raise StateError(f"a saved model must have the part {name!r}, got {type(part).__name__}")
    return part


def _get_arrays(weights: Any) -> list[Any]:
    if not isinstance(weights, list) or not all(isinstance(each, np.ndarray) for each in weights):
        raise StateError(f"saved weights must be a list of arrays, got {type(weights).__name__}")
    return weights
