"""The state of a model, and the state that its own files hold.

A file holds ``{"kind": …, "dense/kernel": array, "dense/bias": array, …}``: each
weight under its path, the slots of the optimizer under ``optimizer``, and what
is not an array in ``training`` and other parts without a slash in their names.
The weights are matched by position, as in Keras; their paths are for readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from onstage.errors import StateError
from onstage.model import Array, State
from onstage.nn.execution.compiled import CompiledNetwork
from onstage.nn.network import Network
from onstage.nn.saving._config import CONFIG_ERRORS, model_config

MODEL, WEIGHTS = "onstage-model", "onstage-weights"


class SavedLayer(NamedTuple):
    """The paths of a layer's weights, and which of them the optimizer has slots for."""

    class_name: str
    name: str
    trainable: bool
    paths: tuple[str, ...]
    has_slots: tuple[bool, ...]


def saved_layers(model: Network) -> list[SavedLayer]:
    """Return the layers with the paths of their weights, all different."""
    taken: set[str] = set()
    found = []
    for layer in model.layers:
        paths = []
        for variable in layer.weights:
            path = f"{layer.name}/{variable.name}"
            while path in taken:
                path += "+"
            taken.add(path)
            paths.append(path)
        has_slots = tuple(variable.trainable for variable in layer.weights)
        found.append(SavedLayer(type(layer).__name__, layer.name, layer.trainable, tuple(paths), has_slots))
    return found


def weights_by_path(model: Network) -> dict[str, Array]:
    """Return the weights as ``{"dense/kernel": array}``, without copying."""
    paths = [path for layer in saved_layers(model) for path in layer.paths]
    return dict(zip(paths, model.weights_view(), strict=True))


def state_view(model: CompiledNetwork) -> State:
    """Return the state without copying; `Sequential.state_dict` copies it."""
    return {
        "weights": weights_by_path(model),
        "optimizer": None if model.optimizer is None else model.optimizer.state_view(),
        "rng": dict(model.rng.bit_generator.state),
    }


def snapshot(model: CompiledNetwork) -> State:
    """Return the content of a file of the whole model; see `Sequential.snapshot`."""
    state = state_view(model)
    optimizer = state["optimizer"]
    slots = {} if optimizer is None else optimizer.pop("slots")
    return {
        "kind": MODEL,
        **model_config(model),
        "rng": state["rng"],
        "training": optimizer,
        "optimizer": slots,
        **state["weights"],
    }


def snapshot_weights(model: Network) -> State:
    """Return the content of a file of the weights alone."""
    return {"kind": WEIGHTS, **weights_by_path(model)}


def has_kind(kind: str, saved: State) -> bool:
    """Return whether the content of a file is of a kind."""
    given = saved.get("kind")
    return isinstance(given, str) and given == kind


def weights_in(saved: State) -> list[Array]:
    """Return the weights in the content of a file of either kind."""
    if "state" in saved:  # of onstage 0.1.0 before weights had paths
        state = saved["state"]
        return get_arrays(state.get("weights") if isinstance(state, Mapping) else None)
    if "weights" in saved:
        return get_arrays(saved["weights"])
    return get_arrays({key: value for key, value in saved.items() if "/" in key})


def state_in(saved: State) -> State:
    """Return the state, as of `state_view`, in the content of a file of a whole model."""
    if "state" in saved:
        if not isinstance(saved["state"], dict):
            raise StateError(f"a saved model must have the part 'state', got {type(saved['state']).__name__}")
        return saved["state"]
    training = saved["training"]
    return {
        "weights": weights_in(saved),
        "optimizer": None if training is None else {**training, "slots": saved["optimizer"]},
        "rng": saved["rng"],
    }


def load_state(model: CompiledNetwork, state: State) -> None:
    """Restore a model's state; see `Sequential.load_state_dict`."""
    weights = get_arrays(state.get("weights") if isinstance(state, Mapping) else None)
    variables = model.weights
    if [w.shape for w in weights] != [v.shape for v in variables] or not model.built:
        raise StateError(
            f"the saved weights must have the shapes {[v.shape for v in variables]}, "
            f"got {[w.shape for w in weights]}; build the model as it was built when saved"
        )
    rng = np.random.PCG64()
    try:
        rng.state = state["rng"]
    except CONFIG_ERRORS as error:
        raise StateError(f"the saved random state must be that of a PCG64 generator: {error!r}") from error
    slots = state.get("optimizer")
    if slots is not None and model.optimizer is not None:
        model.optimizer.load_state_dict(slots)  # changes nothing if it raises
    model.set_weights(weights)
    model.rng.bit_generator.state = rng.state


def get_arrays(weights: Any) -> list[Array]:
    """Return weights, by path or in a list, as a list; raise StateError if they aren't arrays."""
    found = list(weights.values()) if isinstance(weights, dict) else weights
    if not isinstance(found, list) or not all(isinstance(each, np.ndarray) for each in found):
        raise StateError(f"saved weights must be arrays by path, got {type(weights).__name__}")
    return found
