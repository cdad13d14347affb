"""ProgbarLogger: a progress bar on a terminal, lines in a log file."""

from onstage_progbar_logger.callback import ProgbarLogger

__all__ = ["ProgbarLogger"]
