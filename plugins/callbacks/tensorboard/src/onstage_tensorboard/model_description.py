"""Description of any model: weights, layers, embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from onstage.errors import did_you_mean
from onstage.model import Array

NamedWeights: TypeAlias = list[tuple[str, Array]]


def named_weights(model: Any) -> NamedWeights:
    """Return the weights, named ``model/layer/weight``; the arrays may be the model's own.

    A model without ``layers`` has ``model/weight_0``, ``model/weight_1``, … in the
    order of its ``get_weights()``.
    """
    layers = getattr(model, "layers", None)
    if layers is None:
        weights = getattr(model, "weights_view", model.get_weights)()
        return [(f"{name_of(model)}/weight_{n}", array) for n, array in enumerate(weights)]
    return [
        (f"{name_of(model)}/{layer.name}/{weight.name}", _array(weight))
        for layer in layers
        for weight in layer.weights
    ]


def _array(weight: Any) -> Array:
    # A variable of Keras converts itself; the value of one on torch would refuse.
    return np.asarray(weight if hasattr(weight, "__array__") else weight.value)


def name_of(model: Any) -> str:
    """Return the name of a model: its ``name``, or its class in lower case."""
    name = getattr(model, "name", None)
    return name if isinstance(name, str) and name else type(model).__name__.lower()


def graph_of(model: Any) -> dict[str, object] | None:
    """Return the layers in order, in Keras's form; None without layers."""
    layers = getattr(model, "layers", None)
    if not layers:
        return None
    inner = [graph_of(layer) or _node(layer) for layer in layers]
    return {"class_name": type(model).__name__, "config": {"name": name_of(model), "layers": inner}}


def _node(layer: Any) -> dict[str, object]:
    # TensorBoard encodes class names as ASCII.
    kind = type(layer).__name__.encode("ascii", "replace").decode()
    return {"class_name": kind, "config": {"name": layer.name}}


def table_of(model: Any) -> str:
    """Return a Markdown table of the weights and their number."""
    named = named_weights(model)
    rows = [
        f"| {name.replace('|', '&#124;')} | {' x '.join(map(str, array.shape)) or '1'} | {array.size:,} |"
        for name, array in named
    ]
    total = sum(array.size for _, array in named)
    head = f"{type(model).__name__}: {total:,} weights"
    return "\n".join([head, "", "| weight | shape | size |", "|---|---|---|", *rows])


def embedding_layers(model: Any, metadata: object) -> dict[str, str | None]:
    """Return the layers whose embeddings are written, with their metadata files.

    Parameters
    ----------
    metadata
        Layer to file, one file for all layers, or None.

    Raises
    ------
    ValueError
        The model has no such layer, or no Embedding layer.
    """
    layers = {layer.name: layer for layer in getattr(model, "layers", None) or ()}
    names = [name for name, layer in layers.items() if type(layer).__name__ == "Embedding"]
    if isinstance(metadata, Mapping):
        for name in metadata:
            if name not in layers:
                raise ValueError(
                    f"embeddings_metadata must name layers of the model, got {name!r}"
                    f"{did_you_mean(name, layers)} (there are {', '.join(layers) or 'none'})"
                )
        names += [name for name in metadata if name not in names]
    if not names:
        raise ValueError(
            "embeddings_freq must be 0 for a model without an Embedding layer; "
            "or name other layers in embeddings_metadata"
        )
    files = metadata if isinstance(metadata, Mapping) else dict.fromkeys(names, metadata)
    return {name: None if files.get(name) is None else str(files[name]) for name in names}


def embedding_of(model: Any, name: str) -> Array:
    """Return a copy of a layer's table, its first weight.

    Raises
    ------
    ValueError
        The layer's first weight is not two-dimensional.
    """
    layer = next(layer for layer in model.layers if layer.name == name)
    if not layer.weights or _array(layer.weights[0]).ndim != 2:
        raise ValueError(f"embeddings_metadata must name layers with a table of rows, got {name!r}")
    return _array(layer.weights[0]).copy()
