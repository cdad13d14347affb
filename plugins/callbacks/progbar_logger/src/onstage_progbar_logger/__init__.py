"""ProgbarLogger: a progress bar on a terminal, lines in a log file."""

from onstage_progbar_logger.callback import Display, ProgbarLogger
from onstage_progbar_logger.lines import Lines
from onstage_progbar_logger.progress import Progress
from onstage_progbar_logger.text import clock, duration, metric_texts

__all__ = [
    "Display",
    "Lines",
    "PrintsAbove",
    "ProgbarLogger",
    "Progress",
    "clock",
    "duration",
    "metric_texts",
]
