"""Patches: the input values of each position of a window, as the columns of a matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from onstage.model import Array
from onstage.nn.execution.ops import BindContext
from onstage.nn.layers.windows import KernelOffset, Lengths, Region

BAND_BYTES = 8 * 2**20
"""Size of the patches that are made at once: a few rows of the output of large images."""

KEPT_BYTES = 2 * BAND_BYTES
"""Size of the patches of a batch up to which they are kept: making them twice costs a tenth of a step."""


class Band(NamedTuple):
    """A range of output rows, whose patches are made at once.

    The targets of `offsets` are relative to the first row; `padding` are the
    parts of the patches that no offset writes.
    """

    number: int
    rows: slice
    columns: slice
    offsets: list[KernelOffset]
    padding: list[tuple[Lengths, Region]]


def split_bands(window: list[KernelOffset], out_shape: Lengths, column_bytes: int, apart: int) -> list[Band]:
    """Split the output, of shape ``(filters, rows, ..., batch)``, into bands.

    Parameters
    ----------
    column_bytes
        Size of the patch of one position.
    apart
        Least number of rows of a band.
    """
    count, row = out_shape[1], math.prod(out_shape[2:])
    height = max(BAND_BYTES // max(row * column_bytes, 1), apart)
    return [
        _make_band(number, slice(start, min(start + height, count)), window, out_shape, row)
        for number, start in enumerate(range(0, count, height))
    ]


def _make_band(number: int, rows: slice, window: list[KernelOffset], out_shape: Lengths, row: int) -> Band:
    lengths = (rows.stop - rows.start, *out_shape[2:-1])
    offsets, padding = [], []
    for place, (every, target, *targets), (_, source, *sources) in window:
        start = max(target.start, rows.start)
        stop = max(min(target.stop, rows.stop), start)
        first = source.start + (start - target.start) * source.step
        end = first + max(0, stop - start - 1) * source.step + (stop > start)
        here = (every, slice(start - rows.start, stop - rows.start), *targets)
        offsets.append(KernelOffset(place, here, (every, slice(first, end, source.step), *sources)))
        padding += [(place, region) for region in _outside(here, lengths)]
    return Band(number, rows, slice(rows.start * row, rows.stop * row), offsets, padding)


def _outside(region: Region, lengths: Lengths) -> list[Region]:
    """Return regions that cover everything but one region, without overlap."""
    return [
        (*region[:axis], part)
        for axis, length in enumerate(lengths, 1)
        for part in (slice(0, region[axis].start), slice(region[axis].stop, length))
        if part.start < part.stop
    ]


class Patches:
    """Buffers of the patches of a convolution.

    Parameters
    ----------
    weights
        Kernel and bias, shape ``(patch, filters)``.

    If they are few, `fill` keeps the patches for the backward pass. Otherwise
    they are in memory that all convolutions share, until the next call.
    """

    def __init__(
        self,
        weights: Array,
        kernel_size: Lengths,
        channels: int,
        out_shape: Sequence[int],
        context: BindContext,
    ) -> None:
        self._rows = len(weights)
        self._kernel_rows = math.prod(kernel_size) * channels
        self._shape = (*kernel_size, channels)
        self._others = tuple(out_shape[2:])
        self._dtype, self._workspace = context.dtype, context.workspace
        size = self._rows, math.prod(out_shape[1:])
        keep = math.prod(size) * context.dtype.itemsize <= KEPT_BYTES
        self._kept = context.empty(size) if keep else None

    def scratch(self, band: Band, thread: int, rows: int | None = None) -> Array:
        """Return a matrix for a band, by default without a row for the bias."""
        rows = self._kernel_rows if rows is None else rows
        columns = band.columns.stop - band.columns.start
        return self._workspace.scratch(thread, rows * columns, self._dtype).reshape(rows, columns)

    def fill(self, images: Array, band: Band, thread: int) -> Array:
        """Write the patches of a band, a row of ones for the bias last; return them."""
        rows = self.scratch(band, thread, self._rows) if self._kept is None else self._kept[:, band.columns]
        rows[self._kernel_rows :] = 1
        patches = self._as_windows(rows, band)
        for place, region in band.padding:
            patches[place][region] = 0
        for offset in band.offsets:
            np.copyto(patches[offset.place][offset.target], images[offset.source])
        return rows

    def filled(self, images: Array, band: Band, thread: int) -> Array:
        """Return what `fill` wrote, anew if it was not kept."""
        return self.fill(images, band, thread) if self._kept is None else self._kept[:, band.columns]

    def spread(self, gradients: Array, band: Band, x_gradient: Array) -> None:
        """Add the gradients of a band's patches to those of the images."""
        patches = self._as_windows(gradients, band)
        for offset in band.offsets:
            seen = x_gradient[offset.source]
            np.add(seen, patches[offset.place][offset.target], seen)

    def _as_windows(self, rows: Array, band: Band) -> Array:
        height = band.rows.stop - band.rows.start
        return rows[: self._kernel_rows].reshape(*self._shape, height, *self._others)
