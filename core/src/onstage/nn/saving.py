"""Models to files and back: plain data, and names looked up in tables."""

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
"""Of a model in a file."""

WRONG = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What constructors raise over a configuration of any kind."""


def save_model(model: CompiledNetwork, filepath: str | PathLike[str], overwrite: bool) -> None:
    """Write the whole model; see `Sequential.save`."""
    _save(filepath, overwrite, snapshot(model))


def save_weights(model: Network, filepath: str | PathLike[str], overwrite: bool) -> None:
    """Write the weights alone; see `Sequential.save_weights`."""
    _save(filepath, overwrite, snapshot_weights(model))


def snapshot(model: CompiledNetwork) -> State:
    """Give what `save_model` writes; see `Sequential.snapshot`."""
    return {"kind": MODEL, **config_of(model), "state": state_view(model)}


def snapshot_weights(model: Network) -> State:
    """Give what `save_weights` writes."""
    return {"kind": WEIGHTS, "weights": model.weights_view()}


def state_view(model: CompiledNetwork) -> State:
    """Give the state with the model's own arrays; `Sequential.state_dict` copies them."""
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
    """Read the weights from a file of either kind."""
    saved = storage.load(filepath)
    weights = saved.get("weights") if _is(WEIGHTS, saved) else _part(saved, "state").get("weights")
    try:
        model.set_weights(_arrays(weights))
    except (ValueError, TypeError) as error:
        raise StateError(f"{str(filepath)!r} doesn't fit the model: {error}") from error


def load_model(
    kind: type[_Network], filepath: str | PathLike[str], custom_objects: Mapping[str, Any], compile: bool
) -> _Network:
    """Make a model from a file; see `sequential.load_model`."""
    saved = storage.load(filepath)
    if not _is(MODEL, saved):
        raise StateError(f"{str(filepath)!r} holds no model; files of model.save() do")
    try:
        state = _part(saved, "state")
        # A file of a few bytes may ask for layers of any size, but it holds the weights.
        with limit_weights(sum(each.size for each in _arrays(state.get("weights")))):
            model = _from_config(kind, saved, custom_objects)
        if compile and saved["compile"] is not None:
            model.compile(**_revived(saved["compile"], custom_objects))
        load_state(model, state if compile else state | {"optimizer": None})
    except WRONG as error:
        raise StateError(f"{str(filepath)!r} can't be made into a model: {error}") from error
    return model


def load_state(model: CompiledNetwork, state: State) -> None:
    """Restore a model's state; see `Sequential.load_state_dict`."""
    weights = _arrays(state.get("weights") if isinstance(state, Mapping) else None)
    variables = model.weights
    if [w.shape for w in weights] != [v.shape for v in variables] or not model.built:
        raise StateError(
            f"the saved weights must have the shapes {[v.shape for v in variables]}, "
            f"got {[w.shape for w in weights]}; build the model as it was built then"
        )
    rng = np.random.PCG64()
    try:
        rng.state = state["rng"]
    except WRONG as error:
        raise StateError(f"the saved random state is not that of a PCG64 generator: {error!r}") from error
    slots = state.get("optimizer")
    if slots is not None and model.optimizer is not None:
        model.optimizer.load_state_dict(slots)  # it changes nothing if it refuses
    model.set_weights(weights)
    model.rng.bit_generator.state = rng.state


def config_of(model: CompiledNetwork) -> State:
    """Give what a model is made of, as plain data."""
    compiled_loss = model._compiled_loss
    compiled = None
    if compiled_loss is not None and model.optimizer is not None:
        compiled = {
            "optimizer": _written(model.optimizer),
            "loss": _written(compiled_loss.loss),
            "metrics": [_written(each) for each in compiled_loss.given_metrics],
            "weighted_metrics": [_written(each) for each in compiled_loss.given_weighted_metrics],
        }
    return {
        "name": model.name,
        "dtype": model.dtype.name,
        "input_shape": list(model.input_shape[1:]),
        "layers": [_written(layer) for layer in model.layers],
        "compile": compiled,
    }


def _from_config(kind: type[_Network], saved: State, custom_objects: Mapping[str, Any]) -> _Network:
    if len(saved["layers"]) > MAX_LAYERS:
        raise StateError(
            f"a saved model must have at most {MAX_LAYERS:,} layers, got {len(saved['layers']):,}"
        )
    made: list[layers.Layer] = [layers.Input(saved["input_shape"])]
    for config in _revived(saved["layers"], custom_objects):
        own = isinstance(config, layers.Layer)
        made.append(config if own else serialization.make("layer", config, layers.TABLE))
    return kind(made, name=saved["name"], dtype=saved["dtype"])


def _written(given: Any) -> Any:
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


def _revived(saved: Any, custom_objects: Mapping[str, Any]) -> Any:
    """Replace, anywhere in a tree, what only `custom_objects` can make."""
    if isinstance(saved, list):
        return [_revived(each, custom_objects) for each in saved]
    if not isinstance(saved, dict):
        return saved
    if set(saved) == {"function"}:
        name = saved["function"]
        if name not in custom_objects:
            raise StateError(
                f"the function {name!r} is not in the file; pass custom_objects={{{name!r}: the function}}, "
                "or compile=False"
            )
        return custom_objects[name]
    revived = {key: _revived(each, custom_objects) for key, each in saved.items()}
    if set(saved) == {"class_name", "config"} and saved["class_name"] in custom_objects:
        return custom_objects[saved["class_name"]](**revived["config"])
    return revived


def _is(kind: str, saved: State) -> bool:
    given = saved.get("kind")
    return isinstance(given, str) and given == kind


def _part(saved: State, name: str) -> State:
    part = saved.get(name)
    if not isinstance(part, dict):
        raise StateError(f"a saved model must have the part {name!r}, got {type(part).__name__}")
    return part


def _arrays(weights: Any) -> list[Any]:
    if not isinstance(weights, list) or not all(isinstance(each, np.ndarray) for each in weights):
        raise StateError(f"saved weights must be a list of arrays, got {type(weights).__name__}")
    return weights
