"""Plain text tables, for the command line and for reports."""

from __future__ import annotations

from collections.abc import Sequence


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Align rows under a header, two spaces between columns.

    Parameters
    ----------
    header
        One word for each column.
    rows
        As many texts each, without line breaks.
    right
        Indices of the columns to align right: numbers.

    Returns
    -------
    str
        Lines without trailing spaces, no line break at the end.
    """
    lines = [header, *rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(header))]

    def aligned(line: Sequence[str]) -> str:
        cells = [
            cell.rjust(width) if n in right else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join(map(aligned, lines))


def format_duration(seconds: float) -> str:
    """Write a duration in its fitting unit: ``"1.50 s"``, ``"2.00 ms"``, ``"30.0 µs"``."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.2f} ms"
    return f"{seconds * 1e6:.1f} µs"
