"""Reports for people: text tables, the cost of each callback, plots."""

from onstage.reporting._formatting import format_duration, format_table

__all__ = ["format_duration", "format_table"]
