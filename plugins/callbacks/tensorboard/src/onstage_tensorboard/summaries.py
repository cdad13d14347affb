"""Content of the TensorBoard tabs, as values of event files."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import ceil, sqrt

import numpy as np

from onstage.model import Array
from onstage_tensorboard.protos import (
    HistogramProto,
    HParamsPluginData,
    Summary,
    SummaryMetadata,
    TensorProto,
)

_BUCKETS = 30
_BLOCK = 65_536
_LONGEST_SIDE = 1024
_DT_STRING = 7
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


def scalars(pattern: str, values: Mapping[str, float]) -> list[Summary.Value]:
    """Return one point of each curve; `pattern` (``batch_{}``) makes a name its tag."""
    return [Summary.Value(tag=_tag(pattern, name), simple_value=value) for name, value in values.items()]


@lru_cache(maxsize=4096)
def _tag(pattern: str, name: str) -> str:
    return escape(pattern.format(name))


def weights(named: Iterable[tuple[str, Array]], images: bool) -> list[Summary.Value]:
    """Return the histogram of each array, and its image if it can have one."""
    values = []
    for name, array in named:
        values += histogram(f"{name}/histogram", array)
        if images:
            values += image(f"{name}/image", array)
    return values


def histogram(tag: str, array: Array) -> list[Summary.Value]:
    """Return the histogram of the finite elements in 30 buckets; empty if there are none."""
    flat = array.ravel()
    finite = np.isfinite(flat)
    if not finite.all():
        flat = flat[finite]
    if not flat.size:
        return []
    edges = np.linspace(float(flat.min()), float(flat.max()), _BUCKETS + 1)
    counts, total, squares = _count(flat, edges)
    histo = HistogramProto(
        min=edges[0],
        max=edges[-1],
        num=flat.size,
        sum=total,
        sum_squares=squares,
        bucket_limit=edges[1:].tolist(),
        bucket=counts.tolist(),
    )
    return [Summary.Value(tag=escape(tag), histo=histo)]


def _count(flat: Array, edges: Array) -> tuple[Array, float, float]:
    """Return the number of elements between edges, their sum, and the sum of their squares.

    Sorting takes as long as ``np.histogram``, but releases the GIL, so that
    training goes on meanwhile.
    """
    below = np.zeros(len(edges), np.int64)
    total = squares = 0.0
    values = np.empty(min(_BLOCK, flat.size))
    for start in range(0, flat.size, _BLOCK):
        block = np.sort(flat[start : start + _BLOCK])
        value = values[: block.size]
        np.copyto(value, block)
        below += np.searchsorted(value, edges)
        total += float(value.sum())
        squares += float(value @ value)
    below[-1] = flat.size  # the highest belongs to the last bucket
    return np.diff(below), total, squares


def image(tag: str, array: Array) -> list[Summary.Value]:
    """Return a grey image of weights, the lowest black and the highest white.

    A vector is a column, a matrix lies on its longer side, and a stack of kernels
    (``(height, width, …)``) is a grid with lines between them. If a side has more
    than 1,024 pixels, every k-th is drawn. Empty for a single number.
    """
    plane = _plane(np.squeeze(array))
    if plane is None:
        return []
    plane = plane[:: ceil(plane.shape[0] / _LONGEST_SIDE), :: ceil(plane.shape[1] / _LONGEST_SIDE)]
    height, width = plane.shape
    drawn = Summary.Image(height=height, width=width, colorspace=1, encoded_image_string=_png(_grey(plane)))
    return [Summary.Value(tag=escape(tag), image=drawn)]


def _plane(array: Array) -> Array | None:
    """Return the array in two dimensions, with NaN between kernels; None for a single number."""
    if array.ndim == 0 or not array.size:
        return None
    if array.ndim == 1:
        return array[:, np.newaxis]
    if array.ndim == 2:
        return array.T if array.shape[0] > array.shape[1] else array
    height, width, *stack = array.shape
    kernels = array.reshape(height, width, -1)
    # A convolution's (inputs, outputs) are the grid's rows and columns.
    columns = stack[-1] if len(stack) > 1 else ceil(sqrt(kernels.shape[-1]))
    rows = ceil(kernels.shape[-1] / columns)
    grid = np.full((rows * columns, height + 1, width + 1), np.nan, np.float32)
    grid[: kernels.shape[-1], :height, :width] = kernels.transpose(2, 0, 1)
    laid = grid.reshape(rows, columns, height + 1, width + 1).transpose(0, 2, 1, 3)
    plane: Array = laid.reshape(rows * (height + 1), columns * (width + 1))[:-1, :-1]
    return plane


def _grey(plane: Array) -> Array:
    finite = np.isfinite(plane)
    values = np.where(finite, plane, 0).astype(np.float64)
    low = values.min(where=finite, initial=np.inf)
    high = values.max(where=finite, initial=-np.inf)
    span = high - low
    scaled = (values - low) * (255 / span) if span > 0 else np.full(plane.shape, 127.0)
    return np.where(finite, scaled.round(), 0).astype(np.uint8)


def _png(pixels: Array) -> bytes:
    """Return grey pixels as PNG.

    References
    ----------
    W3C, *Portable Network Graphics*, sections 5.3, 11.2.
    """
    height, width = pixels.shape
    lines = np.zeros((height, width + 1), np.uint8)  # each line begins with its filter, 0
    lines[:, 1:] = pixels

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(lines.tobytes(), 6)),
            chunk(b"IEND", b""),
        )
    )


def text(tag: str, markdown: str) -> list[Summary.Value]:
    """Return an entry of the Text tab."""
    return [_string(escape(tag), markdown, "text", b"")]


def graph(config: Mapping[str, object]) -> list[Summary.Value]:
    """Return the conceptual graph of the Graphs tab, for a model in Keras's form."""
    return [_string("keras", json.dumps(config), "graph_keras_model", b"1")]


def _string(tag: str, content: str, plugin: str, data: bytes) -> Summary.Value:
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=plugin, content=data))
    tensor = TensorProto(dtype=_DT_STRING, string_val=[content.encode()])
    return Summary.Value(tag=tag, metadata=metadata, tensor=tensor)


def session_start(hparams: Mapping[str, bool | int | float | str], seconds: float) -> list[Summary.Value]:
    """Return the begin of a row of the HParams tab; TensorBoard finds the metrics itself."""
    data = HParamsPluginData(version=0)
    data.session_start_info.start_time_secs = seconds
    for name, value in hparams.items():
        entry = data.session_start_info.hparams[escape(name)]
        if isinstance(value, bool):
            entry.bool_value = value
        elif isinstance(value, str):
            entry.string_value = value
        else:
            entry.number_value = value
    return [_hparams("_hparams_/session_start_info", data)]


def session_end(seconds: float, succeeded: bool) -> list[Summary.Value]:
    """Return the end of the row."""
    data = HParamsPluginData(version=0)
    data.session_end_info.end_time_secs = seconds
    data.session_end_info.status = _SUCCESS if succeeded else _FAILURE
    return [_hparams("_hparams_/session_end_info", data)]


def _hparams(tag: str, data: HParamsPluginData) -> Summary.Value:
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=data.SerializeToString())
    return Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin))
