"""RowSums: add up rows of a matrix that share a number, without a loop over them."""

from __future__ import annotations

import numpy as np

from onstage.model import Array

_WIDTH = 4
"""Number of rows that are added in one pass; more would mostly add padding."""


class RowSums:
    """Sums of rows by number, over buffers allocated once.

    The rows of one number are added in groups of four, their sums again in
    groups of four, and so on: all groups of a level in one call. Every result
    is then one row of `_pool`, and one lookup writes the whole table: rows of
    zeros for the numbers that do not occur.

    Parameters
    ----------
    rows
        Number of rows to add.
    numbers
        The numbers are in ``[0, numbers)``.
    width
        Length of a row.
    """

    def __init__(self, rows: int, numbers: int, width: int, dtype: np.dtype[np.floating]) -> None:
        # The rows; then the sums, fewer than rows since each replaces two or more; then zeros.
        self._pool = np.zeros((2 * rows + 1, width), dtype)
        self._rows = rows
        self._place = np.empty(numbers, np.intp)
        # numpy sorts 16 bits or fewer by radix, several times faster.
        self._key = np.min_scalar_type(max(numbers - 1, 0))
        self.rows = self._pool[:rows]

    def write(self, numbers: Array, out: Array) -> None:
        """Write the sum of `rows` for each number to `out`, shape ``(numbers, width)``."""
        pool, zero = self._pool, len(self._pool) - 1
        self._place.fill(zero)
        nodes = np.argsort(numbers.astype(self._key), kind="stable")
        keys = numbers[nodes]
        starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1]))) if len(keys) else nodes
        counts = np.diff(starts, append=len(keys))
        keys, end = keys[starts], self._rows
        self._place[keys] = nodes[starts]
        while len(several := np.flatnonzero(counts > 1)):
            keys, starts, counts = keys[several], starts[several], counts[several]
            groups = -(-counts // _WIDTH)
            ends = np.cumsum(groups)
            total, first = int(ends[-1]), ends - groups
            # Positions of a group's members, one row for each member.
            position = (np.arange(total) - np.repeat(first, groups)) * _WIDTH + np.repeat(starts, groups)
            members = position + np.arange(_WIDTH)[:, np.newaxis]
            is_member = members < np.repeat(starts + counts, groups)
            members = np.where(is_member, nodes.take(members, mode="clip"), zero)
            sums = pool[end : end + total]
            np.add.reduce(pool.take(members, axis=0, mode="clip"), axis=0, out=sums)
            nodes = np.arange(end, end + total)
            starts, counts, end = first, groups, end + total
            self._place[keys] = nodes[first]
        np.take(pool, self._place, axis=0, out=out, mode="clip")
