"""Text tables, the cost of each callback, and plots."""

from onstage.reporting._formatting import format_duration, format_table

__all__ = ["format_duration", "format_table"]
