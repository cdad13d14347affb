"""Format tables and durations as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Return a table: a header and rows, columns separated by two spaces.

    Parameters
    ----------
    header
        Title of each column.
    rows
        A text for each column, without line breaks.
    right
        Indices of the columns to align right.

    Returns
    -------
    str
        Lines without trailing spaces, joined by line breaks.

    Examples
    --------
    >>> print(format_table(("name", "count"), [("a", "10"), ("b", "5")], right=[1]))
    name  count
    a        10
    b         5
    """
    lines = [header, *rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(header))]

    def align(line: Sequence[str]) -> str:
        cells = [
            cell.rjust(width) if n in right else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join(map(align, lines))


def format_duration(seconds: float) -> str:
    """Return a duration as text: ``"1.50 s"``, ``"2.00 ms"`` or ``"30.0 µs"``."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.2f} ms"
    return f"{seconds * 1e6:.1f} µs"


def format_value(value: Any) -> str:
    """Return the value of a metric with four decimals; a small or a large one as ``"1.2000e-05"``."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4e}" if 0 < abs(value) < 1e-3 or 1e6 <= abs(value) < float("inf") else f"{value:.4f}"
