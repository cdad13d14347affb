"""Sliding windows over sequences and images, shared by convolution and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple, TypeAlias

from onstage.validation import validate_int

Lengths: TypeAlias = tuple[int, ...]
"""A length for each axis between channels and batch."""

Region: TypeAlias = tuple[slice, ...]
"""Index of an array ``(channels, ..., batch)``, up to the batch axis."""


class KernelOffset(NamedTuple):
    """A position in the window, and the values at it as the window slides.

    ``x[source]`` are its values for the outputs ``out[target]``; for the
    other outputs it is on the padding.
    """

    place: Lengths
    target: Region
    source: Region


def output_length(n: int, size: int, stride: int, dilation: int, padding: str) -> int:
    """Return the number of window positions along an axis; <= 0 if it is too short."""
    if padding != "valid":
        return -(-n // stride)
    return (n - (size - 1) * dilation - 1) // stride + 1


def kernel_offsets(
    lengths: Lengths, size: Lengths, strides: Lengths, dilation: Lengths, padding: str
) -> list[KernelOffset]:
    """Return the offsets of a window, in row-major order.

    "same" padding is split evenly; if it is odd, the larger half comes last, as
    in Keras. "causal" padding comes first: no output sees later values.
    """
    axes = [
        [(index, *_offset_slices(index, *axis, padding)) for index in range(axis[1])]
        for axis in zip(lengths, size, strides, dilation, strict=True)
    ]
    every = slice(None)
    return [
        KernelOffset(place, (every, *target), (every, *source))
        for place, target, source in (zip(*offsets, strict=True) for offsets in product(*axes))
    ]


def _offset_slices(
    index: int, n: int, size: int, stride: int, dilation: int, padding: str
) -> tuple[slice, slice]:
    outputs = output_length(n, size, stride, dilation, padding)
    before = {
        "valid": 0,
        "same": max((outputs - 1) * stride + (size - 1) * dilation + 1 - n, 0) // 2,
        "causal": (size - 1) * dilation,
    }[padding]
    # Output o reads the value at o * stride + offset.
    offset = index * dilation - before
    first = max(0, -(offset // stride))
    end = max(first, min(outputs, (n - 1 - offset) // stride + 1))
    start = first * stride + offset
    return slice(first, end), slice(start, start + max(0, end - first - 1) * stride + (end > first), stride)


def validate_lengths(name: str, value: int | Sequence[int], rank: int) -> Lengths:
    """Return an integer, for all axes, or a sequence of `rank` integers, all >= 1, as a tuple."""
    if isinstance(value, (tuple, list)):
        if len(value) != rank:
            several = " or a pair of integers" if rank == 2 else ""
            raise ValueError(f"{name} must be an integer{several}, got {value!r}")
        return tuple(validate_int(f"{name}[{axis}]", length, 1) for axis, length in enumerate(value))
    return (validate_int(name, value, 1),) * rank


_AXES = {1: "steps", 2: "rows, columns"}


def validate_input_shape(input_shape: tuple[int | None, ...], rank: int) -> Lengths:
    """Return the lengths and the channels; raise ValueError unless there are `rank` lengths."""
    if len(input_shape) != rank + 2:
        raise ValueError(f"must have input of shape (batch, {_AXES[rank]}, channels), got {input_shape}")
    return tuple(length for length in input_shape[1:] if length is not None)
