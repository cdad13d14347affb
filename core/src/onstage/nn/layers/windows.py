"""Windows that slide over images: what convolution and pooling share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from onstage.validation import validate_int

Pair: TypeAlias = tuple[int, int]
Region: TypeAlias = tuple[slice, slice, slice]
"""Of an array ``(channels, rows, columns, batch)``."""


class KernelOffset(NamedTuple):
    """One place in the window, and what lies under it as the window slides.

    ``image[source]`` is what it sees at the outputs ``out[target]``; at the
    other outputs it lies on the padding.
    """

    row: int
    column: int
    target: Region
    source: Region


def output_length(n: int, size: int, stride: int, dilation: int, padding: str) -> int:
    """Count the places of a window along an axis of length n; <= 0 if it is too short."""
    if padding == "same":
        return -(-n // stride)
    return (n - (size - 1) * dilation - 1) // stride + 1


def kernel_offsets(
    lengths: Pair, size: Pair, strides: Pair, dilation: Pair, padding: str
) -> list[KernelOffset]:
    """List the places of a window over images of ``(rows, columns)``, in row-major order.

    The padding of "same" is split evenly; of an odd one the greater half comes
    last, as in Keras.
    """
    rows, columns = (
        [_along(place, *axis, padding) for place in range(axis[1])]
        for axis in zip(lengths, size, strides, dilation, strict=True)
    )
    every = slice(None)
    return [
        KernelOffset(i, j, (every, row_target, column_target), (every, row_source, column_source))
        for i, (row_target, row_source) in enumerate(rows)
        for j, (column_target, column_source) in enumerate(columns)
    ]


def _along(place: int, n: int, size: int, stride: int, dilation: int, padding: str) -> tuple[slice, slice]:
    outputs = output_length(n, size, stride, dilation, padding)
    before = max((outputs - 1) * stride + (size - 1) * dilation + 1 - n, 0) // 2 if padding == "same" else 0
    # Output o sees the value at o * stride + offset.
    offset = place * dilation - before
    first = max(0, -(offset // stride))
    end = max(first, min(outputs, (n - 1 - offset) // stride + 1))
    start = first * stride + offset
    return slice(first, end), slice(start, start + max(0, end - first - 1) * stride + (end > first), stride)


def checked_pair(name: str, value: int | Sequence[int]) -> Pair:
    """Give an integer, or a pair of integers, all >= 1, as a pair."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{name} must be an integer or a pair of integers, got {value!r}")
        return validate_int(f"{name}[0]", value[0], 1), validate_int(f"{name}[1]", value[1], 1)
    both = validate_int(name, value, 1)
    return both, both


def checked_image(input_shape: tuple[int | None, ...]) -> tuple[int, int, int]:
    """Give rows, columns and channels of a layer's input; ValueError if it has others."""
    if len(input_shape) != 4:
        raise ValueError(f"takes images of 4 axes, (batch, rows, columns, channels), got {input_shape}")
    rows, columns, channels = input_shape[1:]
    assert rows is not None
    assert columns is not None
    assert channels is not None
    return rows, columns, channels
