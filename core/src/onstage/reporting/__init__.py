"""Text tables, lines for people, the cost of each callback, and plots."""

from onstage.reporting._formatting import format_duration, format_table
from onstage.reporting._output import fit_encoding, print_line

__all__ = ["fit_encoding", "format_duration", "format_table", "print_line"]
