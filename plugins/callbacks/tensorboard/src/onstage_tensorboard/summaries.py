"""Events of the TensorBoard tabs, made with tensorboardX in the writing thread."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import ceil, sqrt
from typing import Any

import numpy as np

from onstage.model import Array
from onstage_tensorboard.without_torch import tensorboardX

_proto, _summary = tensorboardX.proto, tensorboardX.summary
_Summary = _proto.summary_pb2.Summary
_BUCKETS = 30
_LONGEST_SIDE = 1024
_SUCCESS, _FAILURE = 1, 2
_UNSAFE = re.compile(r"[^\w\-./ :@()+=,]|[^\S ]")


@lru_cache(maxsize=4096)
def escape(name: str) -> str:
    """Return a tag for any name; different names have different tags.

    Letters and digits of any script and ``-_./ :@()+=,`` are kept, other
    characters (markup, quotes, control characters, ``%``) become ``%XX``.

    Examples
    --------
    >>> escape("a<b")
    'a%3Cb'
    """
    return _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), name)


def first_event() -> Any:
    """Return the event that begins a file."""
    return _proto.event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2")


def event(step: int, seconds: float, build: Callable[..., Any], *args: Any) -> Any:
    """Return the event of ``build(*args)``, which are values or a graph; None without values."""
    built = build(*args)
    content = {"graph_def": built} if isinstance(built, bytes) else {"summary": _Summary(value=built)}
    return _proto.event_pb2.Event(wall_time=seconds, step=step, **content) if built else None


def scalars(pattern: str, values: Mapping[str, float]) -> list[Any]:
    """Return one point of each curve; `pattern` (``batch_{}``) makes a name its tag."""
    return [_Summary.Value(tag=_tag(pattern, name), simple_value=value) for name, value in values.items()]


@lru_cache(maxsize=4096)
def _tag(pattern: str, name: str) -> str:
    return escape(pattern.format(name))


def weights(named: Mapping[str, Array], images: bool, spare: list[Any]) -> list[Any]:
    """Return histograms of the finite weights and, optionally, grey images.

    The images of vectors are one row high, and in a group of their own,
    ``<model>_vectors``, which TensorBoard shows after the kernels. The arrays are
    added to `spare`, as memory for the next ones.
    """
    values = []
    for name, array in named.items():
        finite = np.isfinite(array)
        if finite.any():
            numbers = array if finite.all() else array[finite]
            values += _tagged(f"{name}/histogram", _summary.histogram("", numbers, _BUCKETS))
    for name, array in named.items() if images else ():
        if (plane := _plane(np.squeeze(array))) is not None:
            model, _, weight = name.partition("/")
            group = f"{model}_vectors" if array.ndim == 1 else model
            image = _summary.image("", _grey(plane), dataformats="HW")
            values += _tagged(f"{group}/{weight}/image", image)
    spare.append(named)
    return values


def _tagged(tag: str, summary: Any) -> Any:
    """Return the value of a summary with our tag: in tensorboardX's, different names may become equal."""
    summary.value[0].tag = escape(tag)
    return summary.value


def _plane(array: Array) -> Array | None:
    """Return weights in two dimensions, kernels as a grid with NaN between; None for a single number.

    A matrix lies on its longer side. If a side has more than 1,024 pixels, every
    k-th is drawn.
    """
    if array.ndim == 0 or not array.size:
        return None
    if array.ndim == 1:
        array = array[np.newaxis]
    elif array.ndim == 2:
        array = array.T if array.shape[0] > array.shape[1] else array
    else:
        height, width, *stack = array.shape
        kernels = array.reshape(height, width, -1)
        # A convolution's (inputs, outputs) are the grid's rows and columns.
        columns = stack[-1] if len(stack) > 1 else ceil(sqrt(kernels.shape[-1]))
        rows = ceil(kernels.shape[-1] / columns)
        grid = np.full((rows * columns, height + 1, width + 1), np.nan, np.float32)
        grid[: kernels.shape[-1], :height, :width] = kernels.transpose(2, 0, 1)
        laid = grid.reshape(rows, columns, height + 1, width + 1).transpose(0, 2, 1, 3)
        array = laid.reshape(rows * (height + 1), columns * (width + 1))[:-1, :-1]
    return array[:: ceil(array.shape[0] / _LONGEST_SIDE), :: ceil(array.shape[1] / _LONGEST_SIDE)]


def _grey(plane: Array) -> Array:
    """Return pixels, the lowest weight black and the highest white."""
    finite = np.isfinite(plane)
    values = np.where(finite, plane, 0).astype(np.float64)
    low = values.min(where=finite, initial=np.inf)
    span = values.max(where=finite, initial=-np.inf) - low
    scaled = (values - low) * (255 / span) if span > 0 else np.full(plane.shape, 127.0)
    return np.where(finite, scaled.round(), 0).astype(np.uint8)


def text(tag: str, markdown: str) -> list[Any]:
    """Return an entry of the Text tab."""
    return list(_summary.text(escape(tag), markdown).value)


def graph(config: Mapping[str, Any]) -> bytes:
    """Return the first picture of the Graphs tab: the layers in order."""
    graph = _proto.graph_pb2.GraphDef()
    graph.versions.producer = 22
    _add_nodes(graph, config["config"]["layers"], "")
    return bytes(graph.SerializeToString())


def _add_nodes(graph: Any, layers: list[dict[str, Any]], scope: str) -> None:
    for layer in layers:
        path = scope + layer["config"]["name"].replace(" ", "_")
        if inner := layer["config"].get("layers"):
            _add_nodes(graph, inner, f"{path}/")
            continue
        inputs = [graph.node[-1].name] if graph.node else []
        node = graph.node.add(name=path, op=layer["class_name"], input=inputs)
        for weight, shape in layer["weights"].items():
            for size in shape:
                node.attr[weight].shape.dim.add(size=size)


def conceptual_graph(config: Mapping[str, Any]) -> list[Any]:
    """Return the same layers as the conceptual graph ``keras``."""
    (value,) = text("keras", json.dumps(config))
    value.tag = "keras"
    value.metadata.plugin_data.plugin_name, value.metadata.plugin_data.content = "graph_keras_model", b"1"
    return [value]


def session_start(hparams: Mapping[str, bool | int | float | str]) -> list[Any]:
    """Return the begin of a row of the HParams tab; TensorBoard finds the metrics itself."""
    return list(_summary.hparams({escape(name): value for name, value in hparams.items()}, {})[1].value)


def session_end(seconds: float, succeeded: bool) -> list[Any]:
    """Return the end of the row; tensorboardX's own is always a success."""
    (value,) = _summary.hparams({}, {})[2].value
    data = _proto.plugin_hparams_pb2.HParamsPluginData(version=0)
    data.session_end_info.end_time_secs = seconds
    data.session_end_info.status = _SUCCESS if succeeded else _FAILURE
    value.metadata.plugin_data.content = data.SerializeToString()
    return [value]
