"""Text tables, lines for people, the cost of each callback, and plots."""

from onstage.reporting._formatting import format_duration, format_table, format_value
from onstage.reporting._output import fit_encoding, print_line
from onstage.reporting._record import describe_end, epoch_table

__all__ = [
    "describe_end",
    "epoch_table",
    "fit_encoding",
    "format_duration",
    "format_table",
    "format_value",
    "print_line",
]
