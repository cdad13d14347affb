"""Write snapshots as Keras's files, and load models and weights from them."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from os import PathLike
from typing import Any, TypeAlias, TypeVar

from onstage.errors import StateError
from onstage.model import Array, State
from onstage.nn.execution.compiled import CompiledNetwork
from onstage.nn.network import Network
from onstage.nn.saving._config import CONFIG_ERRORS, compile_model, make_model
from onstage.nn.saving._state import SavedLayer, saved_layers, weights_by_path
from onstage.nn.saving.keras import _archive, _hdf5
from onstage.nn.saving.keras._from_keras import from_keras
from onstage.nn.saving.keras._slots import Parameter, from_variables, slot_order, to_variables
from onstage.nn.saving.keras._to_keras import to_keras
from onstage.state.atomic import write_atomic

StrPath: TypeAlias = str | PathLike[str]
_Network = TypeVar("_Network", bound=CompiledNetwork)


def model_writer(config: State, layers: Sequence[SavedLayer]) -> Callable[[StrPath, State], None]:
    """Return the function that writes a snapshot of the whole model as a ``.keras`` file.

    Parameters
    ----------
    config
        Configuration of the model, of `model_config`.
    layers
        Layers of the model when the snapshot is taken.

    Raises
    ------
    ValueError
        If Keras has no equivalent of a part.
    ImportError
        If h5py is missing.
    """
    _hdf5.require_h5py()
    to_keras(config)
    if config["compile"] is not None:
        slot_order(config["compile"]["optimizer"])
    return partial(_write_model, layers=layers)


def weights_writer(layers: Sequence[SavedLayer]) -> Callable[[StrPath, State], None]:
    """Return the function that writes a snapshot of the weights as a ``.weights.h5`` file.

    `layers` are those of the model; raise ImportError if h5py is missing.
    """
    _hdf5.require_h5py()
    return partial(_write_weights, layers=layers)


def _write_model(filepath: StrPath, state: State, layers: Sequence[SavedLayer]) -> None:
    groups = _layer_groups(state, layers, state["name"])
    if state["compile"] is not None:
        optimizer = state["compile"]["optimizer"]
        variables = to_variables(optimizer, state["training"], state["optimizer"], _parameters(layers, state))
        groups.append(_hdf5.Group("optimizer/vars", optimizer["config"]["name"], variables))
    archive = _archive.Archive(to_keras(state), _hdf5.pack(groups))
    write_atomic(filepath, [_archive.pack(archive)])


def _write_weights(filepath: StrPath, state: State, layers: Sequence[SavedLayer]) -> None:
    write_atomic(filepath, [_hdf5.pack(_layer_groups(state, layers, "sequential"))])


def read_if_foreign(filepath: StrPath) -> bytes | None:
    """Return the content of a file that begins like a zip archive or HDF5; None for others."""
    if not stat.S_ISREG(os.stat(filepath).st_mode):  # Opening a pipe would wait for a writer.
        return None
    with open(filepath, "rb") as file:
        if not file.read(len(_hdf5.MAGIC)).startswith((_archive.MAGIC, _hdf5.MAGIC)):
            return None
        file.seek(0)
        return file.read()


def load_weights(model: Network, filepath: StrPath, content: bytes) -> None:
    """Load the weights from the content of a file of either kind.

    Raises
    ------
    StateError
        If it is damaged, or its weights don't fit; nothing is changed then.
    """
    layers = saved_layers(model)
    try:
        weights = _archive.unpack(content).weights if content.startswith(_archive.MAGIC) else content
        with _hdf5.unpack(weights) as read:
            arrays = _read_weights(read, [each.class_name for each in layers], layers, weights_by_path(model))
        model.set_weights(arrays)
    except CONFIG_ERRORS as error:
        raise StateError(f"{str(filepath)!r} doesn't fit the model: {error}") from error


def load_model(
    kind: type[_Network],
    filepath: StrPath,
    content: bytes,
    custom_objects: Mapping[str, Any],
    compile: bool,
) -> _Network:
    """Make a model from the content of a ``.keras`` file.

    Raises
    ------
    StateError
        If it is damaged, holds no Sequential, or something that onstage lacks.
    """
    try:
        if not content.startswith(_archive.MAGIC):
            raise StateError(
                "it is HDF5, which holds weights alone; make the model, then call load_weights. "
                "A whole model in HDF5, of Keras 2, must be opened by Keras and saved as .keras"
            )
        saved, weights = _archive.unpack(content)
        config = from_keras(saved, custom_objects, compile)
        with _hdf5.unpack(weights) as read:
            # A weight takes at least four bytes in the file.
            model = make_model(kind, config, custom_objects, len(weights) // 4)
            names = [each["class_name"] for each in saved["config"]["layers"]]
            _load(model, read, [name for name in names if name != "InputLayer"])
            if config["compile"] is not None:
                compile_model(model, config["compile"], custom_objects)
                _load_optimizer(model, read, config["compile"]["optimizer"])
    except CONFIG_ERRORS as error:
        raise StateError(f"{str(filepath)!r} cannot be loaded: {error}") from error
    return model


def _load(model: Network, read: _hdf5.Reader, class_names: Sequence[str]) -> None:
    model.set_weights(_read_weights(read, class_names, saved_layers(model), weights_by_path(model)))


def _load_optimizer(model: CompiledNetwork, read: _hdf5.Reader, config: State) -> None:
    assert model.optimizer is not None
    variables = read("optimizer/vars")
    if variables:
        parameters = _parameters(saved_layers(model), weights_by_path(model))
        state = from_variables(config, variables, model.optimizer.state_dict(), parameters)
        model.optimizer.load_state_dict(state)


def _read_weights(
    read: _hdf5.Reader,
    class_names: Sequence[str],
    layers: Sequence[SavedLayer],
    weights: Mapping[str, Array],
) -> list[Array]:
    found = []
    for path, layer in zip(_group_paths(class_names), layers, strict=True):
        arrays = read(path)
        shapes = [weights[each].shape for each in layer.paths]
        if [each.shape for each in arrays] != shapes:
            raise StateError(
                f"the layer {layer.name!r} must have weights of the shapes {shapes}, "
                f"got {[each.shape for each in arrays]}"
            )
        found += arrays
    return found


def _layer_groups(state: State, layers: Sequence[SavedLayer], name: str) -> list[_hdf5.Group]:
    paths = _group_paths(layer.class_name for layer in layers)
    groups = [
        _hdf5.Group(path, layer.name, [state[each] for each in layer.paths])
        for path, layer in zip(paths, layers, strict=True)
    ]
    return [*groups, _hdf5.Group("vars", name, [])]


def _group_paths(class_names: Iterable[str]) -> list[str]:
    """Return the group of each layer, which Keras names after its class and numbers."""
    paths, numbers = [], Counter[str]()
    for class_name in class_names:
        # A word begins at a capital before a small letter, and at one after it.
        words = re.sub(r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", re.sub(r"\W+", "", class_name))
        name = words.lower()
        paths.append(f"layers/{name}_{numbers[name]}/vars" if numbers[name] else f"layers/{name}/vars")
        numbers[name] += 1
    return paths


def _parameters(layers: Sequence[SavedLayer], weights: Mapping[str, Array]) -> list[Parameter]:
    parameters, end = [], 0
    for layer in layers:
        for path, has_slots in zip(layer.paths, layer.has_slots, strict=True):
            if has_slots:
                start, end = end, end + weights[path].size
                parameters.append(Parameter(slice(start, end), weights[path].shape, layer.trainable))
    return parameters
