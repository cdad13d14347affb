"""Blocks: up to 1,024 consecutive points of a metric, as stored, and what is drawn of them."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Axis: TypeAlias = Literal["step", "epoch", "time"]
Numbers: TypeAlias = NDArray[np.float64]

SIZE = 1024
COLUMNS = ("sequences", "steps", "epochs", "times", "points")
_TYPES = "qqddd"


class Point(NamedTuple):
    """One value of a metric: number of its event, training batches so far, epoch, Unix time."""

    sequence: int
    step: int
    epoch: float
    time: float
    value: float


class Block:
    """Consecutive points of one metric, in columns.

    Parameters
    ----------
    number
        Counts from 0 within the metric.
    stored
        Columns as `pack` returns them.
    """

    def __init__(self, number: int, stored: Sequence[bytes] = ()) -> None:
        self.number = number
        self.columns: list[array[Any]] = [array(kind) for kind in _TYPES]
        for column, content in zip(self.columns, stored, strict=False):
            column.frombytes(_unpack(content))

    def __len__(self) -> int:
        return len(self.columns[0])

    def append(self, point: Point) -> None:
        """Add a point."""
        for column, value in zip(self.columns, point, strict=True):
            column.append(value)

    def cut(self, sequence: int) -> None:
        """Remove the points of the events from a number on."""
        count = int(np.searchsorted(np.array(self.columns[0]), sequence))
        for column in self.columns:
            del column[count:]

    def row(self) -> tuple[Any, ...]:
        """Return the summary and the columns, in the order of the table."""
        sequences, steps, epochs, times, values = map(np.array, self.columns)
        finite = values[np.isfinite(values)]
        spread = (finite.min(), finite.max(), mean_of(finite)) if len(finite) else (None, None, None)
        ends = [float(end) for x in (steps, epochs, times) for end in (x.min(), x.max())]
        packed = [_pack(column) for column in self.columns]
        return (self.number, len(self), int(sequences[0]), int(sequences[-1]), *spread, *ends, *packed)


def mean_of(values: Numbers) -> float:
    """Return the mean of finite values, which their sum would overflow."""
    mean = float(np.sum(values / len(values)))
    return min(max(mean, float(values.min())), float(values.max()))


def _pack(column: array[Any]) -> bytes:
    # By the significance of the bytes: those of neighbours are alike.
    planes = np.frombuffer(column.tobytes(), np.uint8).reshape(-1, 8).T
    return zlib.compress(planes.tobytes(), 1)


def _unpack(content: bytes) -> bytes:
    return np.frombuffer(zlib.decompress(content), np.uint8).reshape(8, -1).T.tobytes()


def unpack(content: bytes, kind: type[np.float64] | type[np.int64]) -> Numbers:
    """Return a stored column."""
    return np.frombuffer(_unpack(content), kind).astype(np.float64)


class Curve(NamedTuple):
    """A metric as it is drawn: for each bucket its position, and the spread and mean of its values.

    Values are NaN where none is finite. Rows may be summaries of blocks too: `number`.
    """

    first: Numbers
    last: Numbers
    low: Numbers
    high: Numbers
    mean: Numbers
    counts: Numbers
    number: Numbers

    def select(self, start: float, stop: float) -> Curve:
        """Return the rows in a range of x, and one more at each side."""
        wanted = (self.last >= start) & (self.first <= stop)
        if not wanted.any():  # between two rows
            wanted = np.zeros(len(wanted), bool)
            place = int(np.searchsorted(self.first, start))
            wanted[max(0, place - 1) : place + 1] = True
        else:
            wanted[:-1] |= wanted[1:]
            ends = np.flatnonzero(wanted)
            wanted[ends[-1] : ends[-1] + 2] = True
        return Curve(*(column[wanted] for column in self))

    def sort(self) -> Curve:
        """Return the rows by x: a clock may have been set back."""
        if np.all(self.first[1:] >= self.first[:-1]):
            return self
        order = np.argsort(self.first, kind="stable")
        return Curve(*(column[order] for column in self))

    def reduce(self, buckets: int) -> Curve:
        """Return at most that many rows, each of a part of x; as it is if it is not twice as long."""
        if len(self.first) <= 2 * buckets:
            return self
        offset = self.first - self.first[0]
        span = offset[-1]
        place = offset * (buckets / span) if span > 0 else np.arange(len(offset)) * (buckets / len(offset))
        place = np.minimum(np.nan_to_num(place, posinf=0).astype(np.int64), buckets - 1)
        starts = np.flatnonzero(np.diff(place, prepend=-1))
        counts = np.where(np.isnan(self.mean), 0, self.counts)
        totals = np.add.reduceat(counts, starts)
        shares = counts / np.repeat(np.maximum(totals, 1), np.diff(starts, append=len(counts)))
        mean = np.add.reduceat(np.nan_to_num(self.mean) * shares, starts)
        low, high = np.fmin.reduceat(self.low, starts), np.fmax.reduceat(self.high, starts)
        return Curve(
            self.first[starts],
            np.maximum.reduceat(self.last, starts),
            low,
            high,
            np.where(totals > 0, np.clip(mean, low, high), np.nan),
            np.add.reduceat(self.counts, starts),
            self.number[starts],
        )

    def x(self) -> Numbers:
        """Return the middle of each row; of the first its begin, of the last its end."""
        middle = self.first + (self.last - self.first) / 2
        if len(middle) > 1:
            middle[0], middle[-1] = self.first[0], self.last[-1]
        return middle
