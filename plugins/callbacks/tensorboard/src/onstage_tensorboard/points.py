"""Points of curves as records of an event file, many at once.

An event for every batch, made object by object, takes 80 µs of the interpreter,
which the training cannot have meanwhile, on whichever thread. Events of equal tags
differ in the same few bytes: here they are the rows of one table.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import TypeAlias

import numpy as np

from onstage.model import Array
from onstage_tensorboard.checksum import crc32c_of_rows, masked, masked_crc32c
from onstage_tensorboard.summaries import escape

_HEADER = 12
_TIME, _STEP, _SUMMARY = b"\x09", b"\x10", b"\x2a"
"""Of an event: field 1, 8 bytes; field 2, a varint; field 5, a message."""
_VALUE, _TAG, _SIMPLE_VALUE = b"\x0a", b"\x0a", b"\x15"
"""Of a summary: field 1. Of a value: field 1, text; field 2, 4 bytes."""


Point: TypeAlias = tuple[str, int, float, str, Mapping[str, float]]
"""Run, step, time in seconds since 1970, pattern of the tag (``batch_{}``), name to number.

A plain tuple: the training makes one a batch, and a named one takes six times as long.
"""


def alike(a: Point, b: Point) -> bool:
    """Say whether two are points of the same curves."""
    return a[0] == b[0] and a[3] == b[3] and a[4].keys() == b[4].keys()


def records(points: Sequence[Point]) -> bytes:
    """Give points of the same curves as records, one event each.

    References
    ----------
    TensorFlow, ``tensorflow/core/util/event.proto``, ``tensorflow/core/framework/summary.proto``
    and ``tensorflow/core/lib/io/record_writer.h``; protobuf's *Encoding*.
    """
    _, steps, times, patterns, values = zip(*points, strict=True)
    step = _varints(np.array(steps, np.int64).view(np.uint64))
    names = tuple(values[0])
    template, columns = _template(patterns[0], names, step.shape[1])
    table = np.repeat(template[np.newaxis], len(points), axis=0)
    _put(table, _HEADER + 1, np.array(times, "<f8"))
    at = _HEADER + 10
    table[:, at : at + step.shape[1]] = step
    with np.errstate(over="ignore"):  # what a float32 cannot hold is infinite
        numbers = np.array(list(map(itemgetter(*names), values)), np.float64).astype("<f4")
    table[:, columns] = numbers.reshape(len(points), -1).view(np.uint8)
    _put(table, -4, masked(crc32c_of_rows(table[:, _HEADER:-4])).astype("<u4"))
    return table.tobytes()


@lru_cache(maxsize=256)
def _template(pattern: str, names: tuple[str, ...], step_bytes: int) -> tuple[Array, Array]:
    """Give a record with zeros for what differs, and the columns of the values' bytes."""
    summary, starts = bytearray(), []
    for name in names:
        tag = escape(pattern.format(name)).encode()
        value = _TAG + _length(tag) + tag + _SIMPLE_VALUE
        summary += _VALUE + _length(value + bytes(4)) + value
        starts.append(len(summary))
        summary += bytes(4)
    event = _TIME + bytes(8) + _STEP + bytes(step_bytes) + _SUMMARY + _length(summary)
    starts = [_HEADER + len(event) + start for start in starts]
    size = struct.pack("<Q", len(event) + len(summary))
    record = size + struct.pack("<I", masked_crc32c(size)) + event + summary + bytes(4)
    return np.frombuffer(record, np.uint8), np.add.outer(starts, range(4)).ravel()


def _length(data: bytes | bytearray) -> bytes:
    return _varints(np.array([len(data)], np.uint64)).tobytes()


def _varints(numbers: Array) -> Array:
    """Give each number 7 bits a byte, the lowest first, in as many bytes as the largest needs.

    All but the last byte say that more come.
    """
    width = max(1, -(-int(numbers.max()).bit_length() // 7))
    shifts = (7 * np.arange(width)).astype(np.uint64)
    digits: Array = (numbers[:, np.newaxis] >> shifts & np.uint64(0x7F)).astype(np.uint8)
    digits[:, :-1] |= 0x80
    return digits


def _put(table: Array, at: int, numbers: Array) -> None:
    columns = np.arange(numbers.itemsize) + at
    table[:, columns] = numbers.view(np.uint8).reshape(len(table), -1)
