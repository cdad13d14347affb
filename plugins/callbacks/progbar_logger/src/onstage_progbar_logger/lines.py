"""Lines for a log file: when training starts, at intervals, after each epoch."""

from __future__ import annotations

from datetime import datetime
from typing import TextIO

from onstage.reporting import fit_encoding, format_duration
from onstage_progbar_logger.progress import Progress
from onstage_progbar_logger.text import Columns, clock, duration, metric_texts


class Lines:
    """Print lines without control characters.

    Parameters
    ----------
    stream
        Stream to print to.
    interval
        Seconds between two lines; infinite for a line per epoch only.
    timestamps
        Whether each line begins with the time.
    """

    def __init__(self, stream: TextIO, interval: float, *, timestamps: bool = False) -> None:
        self._stream = stream
        self.interval = interval
        self._timestamps = timestamps
        self._columns = Columns()

    def start(self, text: str) -> None:
        """Print the line at the start of a training."""
        if self.interval < float("inf"):
            self._print(text)

    def open(self, progress: Progress) -> None:
        """Do nothing: a line is printed after the interval."""

    def show(self, progress: Progress) -> None:
        """Print the line of a step."""
        kind = "" if progress.validates else "step "
        parts = [progress.title, f"{kind}{progress.count.strip()}", *metric_texts(progress.metrics, ": ")]
        if progress.pace is not None:
            parts.append(f"{format_duration(progress.pace)}/step")
        if progress.left is not None:
            parts.append(f"ETA {clock(progress.left)}")
        if progress.left_in_all is not None:
            parts.append(f"training {clock(progress.left_in_all)}")
        self._print(" - ".join(parts))

    def finish(self, progress: Progress) -> None:
        """Print the line of an epoch, an evaluation or a prediction."""
        columns = self._columns
        parts = [progress.title, columns.right("seconds", duration(progress.seconds))]
        if progress.pace is not None:
            parts.append(columns.right("pace", f"{format_duration(progress.pace)}/step"))
        parts += columns.left(progress.metrics, metric_texts(progress.metrics, ": "))
        self._print(" - ".join([*parts, *filter(None, [progress.stop]), *progress.notes]).rstrip())

    def close(self) -> None:
        """Do nothing: every line is complete."""

    def _print(self, text: str) -> None:
        if self._timestamps:
            text = f"{datetime.now().astimezone().isoformat(timespec='seconds')} {text}"
        self._stream.write(fit_encoding(f"{text}\n", self._stream))
        self._stream.flush()
