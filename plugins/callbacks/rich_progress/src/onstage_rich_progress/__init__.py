"""RichProgress: a table of the epochs and bars, drawn by rich."""

from onstage_rich_progress.callback import RichProgress

__all__ = ["RichProgress"]
