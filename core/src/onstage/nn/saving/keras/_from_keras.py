"""A configuration of onstage from Keras's ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onstage.model import State
from onstage.nn.layers import TABLE as LAYERS
from onstage.nn.saving.keras._names import arguments_of, find_class, is_known_function, module_of

_WITHOUT_EFFECT = frozenset(
    {
        "dtype",
        "input_length",
        "is_legacy_optimizer",
        "jit_compile",
        "name",
        "renorm_momentum",
        "seed",
        "trainable",
    }
)
"""Arguments of Keras that onstage doesn't have, and that change no result."""

_ONLY_VALUES: dict[str, tuple[object, ...]] = {
    "axis": (-1, [-1]),
    "data_format": ("channels_last",),
    "groups": (1,),
    "reduction": ("sum_over_batch_size", "auto"),
}
"""Values of other arguments, to which onstage is confined; those of all others are falsy."""


def from_keras(saved: Any, custom_objects: Mapping[str, Any], compile: bool) -> State:
    """Return a configuration like that of `model_config` from the content of ``config.json``.

    Parameters
    ----------
    compile
        Whether to read how the model is compiled.

    Raises
    ------
    ValueError
        If it is not a Sequential, or asks for something that onstage lacks.
    LookupError, TypeError
        If it is malformed.
    """
    if saved["class_name"] != "Sequential":
        raise ValueError(f"a model of Keras must be a Sequential, got {saved['class_name']!r:.80}")
    config = saved["config"]
    entries = config["layers"]
    first = entries[0]["config"]
    shape = first.get("batch_shape", first.get("batch_input_shape", config.get("build_input_shape")))
    if shape is None or None in shape[1:]:
        raise ValueError(f"a model of Keras must have a known input shape, got {shape!r:.80}")
    rest = entries[1:] if entries[0]["class_name"] == "InputLayer" else entries
    return {
        "name": config["name"],
        "dtype": _common_dtype(rest),
        "input_shape": shape[1:],
        "layers": [_layer(each, custom_objects) for each in rest],
        "compile": _compile(saved.get("compile_config"), custom_objects) if compile else None,
    }


def _common_dtype(entries: list[Any]) -> str:
    policies = [each["config"].get("dtype", "float32") for each in entries]
    names = {each if isinstance(each, str) else each["config"]["name"] for each in policies}
    if len(names) != 1 or not names <= {"float32", "float64"}:
        raise ValueError(
            f"the layers of a model of Keras must all have the dtype float32, or all float64, "
            f"got {', '.join(sorted(names)):.80}"
        )
    return names.pop()


def _compile(saved: Any, custom_objects: Mapping[str, Any]) -> State | None:
    if not saved or saved.get("loss") is None:
        return None  # It cannot be trained.
    if saved.get("loss_weights") is not None:
        raise ValueError("loss_weights must be None, as there is one output; pass compile=False")
    parts = {
        "optimizer": _translate(saved["optimizer"], "keras.optimizers", custom_objects),
        "loss": _translate(_single(saved["loss"]), "keras.losses", custom_objects),
    }
    for kind in ("metrics", "weighted_metrics"):
        given = saved.get(kind) or []
        given = (
            given[0] if len(given) == 1 and isinstance(given, list) and isinstance(given[0], list) else given
        )
        if not isinstance(given, list):
            raise ValueError(f"{kind} must be a list, as there is one output; pass compile=False")
        parts[kind] = _translate(given, "keras.metrics", custom_objects)
    return parts


def _single(loss: Any) -> Any:
    return loss[0] if isinstance(loss, list) and len(loss) == 1 else loss


def _layer(saved: Any, custom_objects: Mapping[str, Any]) -> State:
    name, config = saved["class_name"], dict(saved["config"])
    axis = config.get("axis")
    rank = len((saved.get("build_config") or {}).get("input_shape") or ())
    if axis in ([-1], rank - 1, [rank - 1]):
        config["axis"] = -1  # All these are the last axis.
    if name not in LAYERS and name not in custom_objects and find_class("keras.activations", name):
        function = {"class_name": name, "config": config}
        config = {key: config[key] for key in ("name", "trainable") if key in config}
        config["activation"] = _translate(function, "keras.activations", custom_objects)
        return {"class_name": "Activation", "config": config}
    translated: State = _translate({**saved, "config": config}, "keras.layers", custom_objects)
    return translated


def _translate(value: Any, module: str, custom_objects: Mapping[str, Any]) -> Any:
    match value:
        case list():
            return [_translate(each, module, custom_objects) for each in value]
        case {"class_name": "function", "config": str(name)}:
            custom = name in custom_objects or not is_known_function(module, name)
            return {"function": name} if custom else name
        case {"class_name": str(name), "config": dict(config)}:
            registered = value.get("registered_name")
            if isinstance(registered, str) and registered in custom_objects:
                name = registered
            if module == "keras.metrics" and value.get("module") == "keras.losses":
                loss = _translate(value, "keras.losses", custom_objects)
                return {"class_name": "LossMetric", "config": {"loss": loss, "name": config.get("name")}}
            known = None if name in custom_objects else find_class(module, name)
            if known is not None:
                config = _supported(name, known, config)
            config = {key: each for key, each in config.items() if key != "dtype"}
            arguments = {
                key: _translate(each, module_of(key), custom_objects) for key, each in config.items()
            }
            if isinstance(arguments.get("seed"), dict):
                arguments["seed"] = None  # A generator's configuration: the weights are drawn already.
            return {"class_name": name, "config": arguments}
    return value


def _supported(name: str, cls: type, config: State) -> State:
    """Return the arguments that a class of onstage has; raise ValueError if others have an effect."""
    known = arguments_of(cls)
    for key, value in config.items():
        if key in known or key in _WITHOUT_EFFECT:
            continue
        allowed = _ONLY_VALUES.get(key)
        if value not in allowed if allowed else value:
            only = " or ".join(map(repr, allowed or (None,)))
            raise ValueError(f"{name} must have {key}={only}, got {value!r:.80}; onstage has no such option")
    return {key: value for key, value in config.items() if key in known}
