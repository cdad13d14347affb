"""The configuration of a model as plain data, and models from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from onstage.errors import StateError
from onstage.model import State
from onstage.nn import layers, serialization
from onstage.nn.execution.compiled import CompiledNetwork
from onstage.nn.layers.variable import limit_weights
from onstage.nn.losses import FunctionLoss, Loss
from onstage.nn.metrics import LossMetric, MeanMetricWrapper

_Network = TypeVar("_Network", bound=CompiledNetwork)

MAX_LAYERS = 2_000
"""Largest number of layers of a model in a file."""

CONFIG_ERRORS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""Errors that constructors raise for a malformed configuration."""


def model_config(model: CompiledNetwork) -> State:
    """Return the configuration of a model as plain data."""
    return {
        "name": model.name,
        "dtype": model.dtype.name,
        "input_shape": list(model.input_shape[1:]),
        "layers": [_to_config(layer) for layer in model.layers],
        "compile": compile_config(model),
    }


def compile_config(model: CompiledNetwork) -> State | None:
    """Return the arguments of a model's `compile` as plain data; None before it."""
    compiled_loss = model._compiled_loss
    if compiled_loss is None or model.optimizer is None:
        return None
    return {
        "optimizer": _to_config(model.optimizer),
        "loss": _to_config(compiled_loss.loss),
        "metrics": [_metric_config(each) for each in compiled_loss.given_metrics],
        "weighted_metrics": [_metric_config(each) for each in compiled_loss.given_weighted_metrics],
    }


def make_model(
    kind: type[_Network], config: State, custom_objects: Mapping[str, Any], most_weights: int
) -> _Network:
    """Make the model of a configuration, without compiling it.

    Parameters
    ----------
    most_weights
        Largest number of weights: a tiny file could ask for layers of any size.
    """
    if len(config["layers"]) > MAX_LAYERS:
        raise StateError(
            f"a saved model must have at most {MAX_LAYERS:,} layers, got {len(config['layers']):,}"
        )
    with limit_weights(most_weights):
        made = [layers.Input(config["input_shape"]), *make_layers(config["layers"], custom_objects)]
        return kind(made, name=config["name"], dtype=config["dtype"])


def make_layers(configs: list[Any], custom_objects: Mapping[str, Any]) -> list[layers.Layer]:
    """Make layers from their configurations; custom classes and functions are passed by name."""
    return [
        each if isinstance(each, layers.Layer) else serialization.deserialize("layer", each, layers.TABLE)
        for each in _resolve(configs, custom_objects)
    ]


def compile_model(model: CompiledNetwork, compiled: State, custom_objects: Mapping[str, Any]) -> None:
    """Compile a model as the part "compile" of a configuration says."""
    model.compile(**_resolve(compiled, custom_objects))


def _metric_config(given: Any) -> Any:
    is_own_loss = isinstance(given, Loss) and not isinstance(given, FunctionLoss)
    return _to_config(LossMetric(given) if is_own_loss else given)


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
