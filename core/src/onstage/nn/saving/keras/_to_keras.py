"""The configuration of a model as Keras's ``config.json`` has it."""

from __future__ import annotations

from typing import Any

from onstage.model import State
from onstage.nn import activations
from onstage.nn.saving.keras._names import find_class, module_of

_LAYERS_AS_ACTIVATIONS = ("ELU", "LeakyReLU")
"""Activations with arguments that Keras has as layers."""


def to_keras(config: State) -> dict[str, Any]:
    """Return the content of ``config.json`` for a configuration of `model_config`.

    Raises
    ------
    ValueError
        If Keras has no equivalent of a part.
    """
    shape = [None, *config["input_shape"]]
    dtype = config["dtype"]
    first = {"batch_shape": shape, "dtype": dtype, "name": "input_layer"}
    layers = [_object("keras.layers", "InputLayer", first)]
    layers += [_layer(layer, dtype) for layer in config["layers"]]
    saved = _object(
        "keras",
        "Sequential",
        {"name": config["name"], "trainable": True, "layers": layers, "build_input_shape": shape},
    )
    saved["build_config"] = {"input_shape": shape}
    if config["compile"] is not None:
        saved["compile_config"] = _compile_config(config["compile"])
    return saved


def _compile_config(compiled: State) -> dict[str, Any]:
    return {
        "optimizer": _translate(compiled["optimizer"], "keras.optimizers"),
        "loss": _translate(compiled["loss"], "keras.losses"),
        "loss_weights": None,
        "metrics": _translate(compiled["metrics"], "keras.metrics"),
        "weighted_metrics": _translate(compiled["weighted_metrics"], "keras.metrics"),
        "run_eagerly": False,
        "steps_per_execution": 1,
        "jit_compile": "auto",
    }


def _layer(layer: State, dtype: str) -> dict[str, Any]:
    config = {key: value for key, value in layer["config"].items() if key != "input_shape"}
    saved: dict[str, Any] = _translate({**layer, "config": config}, "keras.layers")
    saved["config"]["dtype"] = dtype
    return saved


def _translate(value: Any, module: str) -> Any:
    match value:
        case list():
            return [_translate(each, module) for each in value]
        case {"function": name}:
            return _object("builtins", "function", name, "function")
        case {"class_name": "LossMetric", "config": {"loss": {"config": config} as loss, "name": name}}:
            return _translate({**loss, "config": {**config, "name": name}}, "keras.losses")
        case {"class_name": name, "config": config} if module == "keras.activations":
            return _activation(name, config)
        case {"class_name": name, "config": config}:
            arguments = {key: _translate(each, module_of(key)) for key, each in config.items()}
            if arguments.get("name", "") is None:
                del arguments["name"]  # Keras derives it from the class, too.
            return _own_or_custom(module, name, arguments)
    return value


def _activation(name: str, config: State) -> Any:
    default = activations.TABLE.get(name)
    if default is None:
        return _own_or_custom("keras.activations", name, config)
    if config == default().get_config():
        # The name of Keras is the last one; the first is the class in snake case.
        return [each for each, cls in activations.TABLE.items() if cls is default][-1]
    if name in _LAYERS_AS_ACTIVATIONS:
        return _object("keras.layers", name, config)
    raise ValueError(
        f"activation {name} must have its default arguments in a file of Keras, got {config}; "
        "save without the suffix '.keras' instead"
    )


def _own_or_custom(module: str, name: str, config: State) -> dict[str, Any]:
    known = find_class(module, name) is not None
    return _object(module, name, config) if known else _object(None, name, config, name)


def _object(
    module: str | None, class_name: str, config: Any, registered_name: str | None = None
) -> dict[str, Any]:
    return {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": registered_name,
    }
