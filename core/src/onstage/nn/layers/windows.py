"""Sliding windows over images, shared by convolution and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from onstage.validation import validate_int

Pair: TypeAlias = tuple[int, int]
Region: TypeAlias = tuple[slice, slice, slice]
"""Index of an array ``(channels, rows, columns, batch)``."""


class KernelOffset(NamedTuple):
    """A position in the window, and the pixels at it as the window slides.

    ``image[source]`` are its pixels for the outputs ``out[target]``; for the
    other outputs it is on the padding.
    """

    row: int
    column: int
    target: Region
    source: Region


def output_length(n: int, size: int, stride: int, dilation: int, padding: str) -> int:
    """Return the number of window positions along an axis; <= 0 if it is too short."""
    if padding == "same":
        return -(-n // stride)
    return (n - (size - 1) * dilation - 1) // stride + 1


def kernel_offsets(
    lengths: Pair, size: Pair, strides: Pair, dilation: Pair, padding: str
) -> list[KernelOffset]:
    """Return the offsets of a window over ``(rows, columns)``, in row-major order.

    "same" padding is split evenly; if it is odd, the larger half comes last, as
    in Keras.
    """
    rows, columns = (
        [_offset_slices(index, *axis, padding) for index in range(axis[1])]
        for axis in zip(lengths, size, strides, dilation, strict=True)
    )
    every = slice(None)
    return [
        KernelOffset(i, j, (every, row_target, column_target), (every, row_source, column_source))
        for i, (row_target, row_source) in enumerate(rows)
        for j, (column_target, column_source) in enumerate(columns)
    ]


def _offset_slices(
    index: int, n: int, size: int, stride: int, dilation: int, padding: str
) -> tuple[slice, slice]:
    outputs = output_length(n, size, stride, dilation, padding)
    before = max((outputs - 1) * stride + (size - 1) * dilation + 1 - n, 0) // 2 if padding == "same" else 0
    # Output o reads the value at o * stride + offset.
    offset = index * dilation - before
    first = max(0, -(offset // stride))
    end = max(first, min(outputs, (n - 1 - offset) // stride + 1))
    start = first * stride + offset
    return slice(first, end), slice(start, start + max(0, end - first - 1) * stride + (end > first), stride)


def validate_pair(name: str, value: int | Sequence[int]) -> Pair:
    """Return an integer or a pair of integers, all >= 1, as a pair."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{name} must be an integer or a pair of integers, got {value!r}")
        return validate_int(f"{name}[0]", value[0], 1), validate_int(f"{name}[1]", value[1], 1)
    both = validate_int(name, value, 1)
    return both, both


def validate_image_shape(input_shape: tuple[int | None, ...]) -> tuple[int, int, int]:
    """Return rows, columns and channels; raise ValueError unless the rank is 4."""
    if len(input_shape) != 4:
        raise ValueError(f"must have input of shape (batch, rows, columns, channels), got {input_shape}")
    rows, columns, channels = input_shape[1:]
    assert rows is not None
    assert columns is not None
    assert channels is not None
    return rows, columns, channels
