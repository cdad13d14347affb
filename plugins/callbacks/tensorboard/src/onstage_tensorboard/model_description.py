"""Description of any model: weights, layers, embeddings."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from onstage.errors import did_you_mean
from onstage.model import Array
from onstage.state.atomic import write_atomic


def named_weights(model: Any) -> list[tuple[str, Array]]:
    """Return the weights, named ``model/layer/weight``; the arrays may be the model's own.

    A model without ``layers`` has ``model/weight_0``, ``model/weight_1``, … in the
    order of its ``get_weights()``.
    """
    layers = getattr(model, "layers", None)
    if layers is None:
        weights = getattr(model, "weights_view", model.get_weights)()
        return [(f"{_name_of(model)}/weight_{n}", array) for n, array in enumerate(weights)]
    return [
        (f"{_name_of(model)}/{layer.name}/{weight.name}", _array(weight))
        for layer in layers
        for weight in layer.weights
    ]


def _array(weight: Any) -> Array:
    # A variable of Keras converts itself; the value of one on torch would refuse.
    return np.asarray(weight if hasattr(weight, "__array__") else weight.value)


def _name_of(model: Any) -> str:
    name = getattr(model, "name", None)
    return name if isinstance(name, str) and name else type(model).__name__.lower()


def graph_of(model: Any) -> dict[str, Any]:
    """Return the layers in order, with the shapes of their weights, in Keras's form."""
    layers = getattr(model, "layers", None)
    if layers:
        inner = [graph_of(layer) for layer in layers]
        return {"class_name": type(model).__name__, "config": {"name": _name_of(model), "layers": inner}}
    # TensorBoard encodes class names as ASCII.
    kind = type(model).__name__.encode("ascii", "replace").decode()
    shapes = {weight.name: list(_array(weight).shape) for weight in getattr(model, "weights", ())}
    return {"class_name": kind, "config": {"name": _name_of(model)}, "weights": shapes}


def table_of(model: Any) -> str:
    """Return a Markdown table of the weights and their number."""
    named = named_weights(model)
    rows = [
        f"| {name.replace('|', '&#124;')} | {' x '.join(map(str, array.shape)) or '1'} | {array.size:,} |"
        for name, array in named
    ]
    head = f"{type(model).__name__}: {sum(array.size for _, array in named):,} weights"
    return "\n".join([head, "", "| weight | shape | size |", "|---|---|---|", *rows])


def embedding_layers(model: Any, metadata: object, log_dir: str) -> dict[str, str | None]:
    """Return the layers whose embeddings are written, with their files of labels.

    Parameters
    ----------
    metadata
        Layer to file in `log_dir`, one file for all layers, or None.

    Raises
    ------
    ValueError
        The model has no such layer, or no Embedding layer, or there is no such file.
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
    files: Mapping[str, Any] = metadata if isinstance(metadata, Mapping) else dict.fromkeys(names, metadata)
    paths = {name: None if files.get(name) is None else str(Path(log_dir, files[name])) for name in names}
    for path in paths.values():
        if path is not None and not Path(path).is_file():
            raise ValueError(
                f"embeddings_metadata must name files in log_dir, got {path!r}; write it before training"
            )
    return paths


def embedding_of(model: Any, name: str) -> Array:
    """Return a copy of a layer's table, its first weight; raise ValueError if it is no matrix."""
    layer = next(layer for layer in model.layers if layer.name == name)
    if not layer.weights or _array(layer.weights[0]).ndim != 2:
        raise ValueError(f"embeddings_metadata must name layers with a table of rows, got {name!r}")
    return _array(layer.weights[0]).copy()


def write_embeddings(folder: Path, tables: Mapping[str, Array], labels: Mapping[str, str | None]) -> None:
    """Write the Projector's configuration, tables and labels; they replace those of the last epoch.

    All are in the directory of the run: TensorBoard reads no file outside.
    """
    (folder / "embeddings").mkdir(parents=True, exist_ok=True)
    config = []
    for layer, table in tables.items():
        path = f"embeddings/{quote(layer, safe='')}"
        text = io.BytesIO()
        np.savetxt(text, table, fmt="%.9g", delimiter="\t")  # 9 digits: exact for float32
        write_atomic(folder / f"{path}.tsv", [text.getvalue()])
        entry = {"tensor_name": layer, "tensor_path": f"{path}.tsv"}
        if (file := labels[layer]) is not None:
            entry["metadata_path"] = f"{path}.labels.tsv"
            write_atomic(folder / entry["metadata_path"], [Path(file).read_bytes()])
        lines = [f"  {key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in entry.items()]
        config.append("".join(("embeddings {\n", *lines, "}\n")))
    write_atomic(folder / "projector_config.pbtxt", ["".join(config).encode()])
