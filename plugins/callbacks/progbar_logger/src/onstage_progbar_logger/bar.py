"""The bar of a terminal: one line that is drawn again, with all prints above it."""

from __future__ import annotations

import os
from typing import Any, TextIO

from tqdm import tqdm
from tqdm.utils import disp_len

from onstage.reporting import fit_encoding, format_duration
from onstage_progbar_logger.above import AboveBars
from onstage_progbar_logger.progress import Progress
from onstage_progbar_logger.text import Columns, clock, duration, metric_texts

BLOCKS = " ▏▎▍▌▋▊▉█"
"""A cell of the bar, from empty to full."""
MOST_CELLS = 30
"""Length of the bar on a wide terminal."""
FEWEST_CELLS = 5
"""Length below which no bar is drawn."""


class Bar:
    """The progress on the last line of a terminal; finished lines stand above it.

    The line is one of tqdm's, so that it keeps its place below bars of the
    program, and ``tqdm.write`` prints above it.

    Raises
    ------
    OSError, ValueError
        From `open`, `show` and `finish`, if the stream can't be written to.
    """

    interval = 0.05

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._line: _Line | None = None
        self._above: AboveBars | None = None
        self._columns = Columns()

    def start(self, text: str) -> None:
        """Do nothing: the terminal has the program that started."""

    def open(self, progress: Progress) -> None:
        """Draw the line of an epoch, an evaluation or a prediction."""
        self.close()
        self._writer = _Writer(self._stream)
        self._line = _Line(self._writer)
        self._above = AboveBars(self._stream)
        self.show(progress)

    def show(self, progress: Progress) -> None:
        """Draw the line again."""
        if self._line is None:
            return
        width = _columns_of(self._stream)
        text = compose(progress, width, self._cells())
        # Padded, so that nothing remains of what others have written on the line.
        self._line.text = text + " " * (width - disp_len(text))
        with tqdm.get_lock():  # type: ignore[no-untyped-call]  # in its stubs
            self._line.refresh(nolock=True)
        self._check()

    def finish(self, progress: Progress) -> None:
        """Replace the line by the one of the finished epoch."""
        self._end(self._finished(progress, _columns_of(self._stream)))
        self._check()

    def close(self) -> None:
        """Leave the line as it is, after an error; raise nothing."""
        self._end("" if self._line is None else self._line.text.rstrip())

    def _end(self, text: str) -> None:
        line, above = self._line, self._above
        self._line = self._above = None
        if line is None or above is None:
            return
        line.close()
        with tqdm.external_write_mode(self._stream):
            above.close()
            self._writer.write(f"{text}\n")
            self._writer.flush()

    def _finished(self, progress: Progress, width: int) -> str:
        """Return title, all metrics and notes, and the times if there is room."""
        notes = [*filter(None, [progress.stop]), *progress.notes]
        cells = self._columns.left(progress.metrics, metric_texts(progress.metrics, "="))
        times = [self._columns.right("seconds", duration(progress.seconds))]
        if progress.pace is not None:
            times.append(self._columns.right("pace", f"{format_duration(progress.pace)}/step"))
        line = wrap(progress.title, [*cells, *notes], width)
        for kept in (1, 2):
            longer = wrap(progress.title, [*cells, *times[:kept], *notes], width)
            line = longer if longer.count("\n") == line.count("\n") else line
        return line

    def _cells(self) -> str:
        """Return the characters of the bar: blocks are two columns wide where the encoding is not Unicode."""
        encoding = getattr(self._stream, "encoding", None) or ""
        return BLOCKS if encoding.lower().startswith("utf") else " #"

    def _check(self) -> None:
        if self._writer.error is not None:
            raise self._writer.error


def compose(progress: Progress, width: int, cells: str) -> str:
    """Return the line of a bar: each text is there in whole, or not at all.

    Parameters
    ----------
    width
        Number of columns.
    cells
        Characters of a cell of the bar, from empty to full.
    """
    line = f"{progress.title} {progress.count}"[:width]

    def add(*texts: str, gap: str = "  ") -> bool:
        nonlocal line
        fitting = [text for text in texts if disp_len(line + gap + text) <= width]
        line += f"{gap}{fitting[0]}" if fitting else ""
        return bool(fitting)

    gap = "  "
    for text in metric_texts(progress.metrics, "="):
        gap = " " if add(text, gap=gap) else gap
    if progress.pace is not None:
        add(f"{format_duration(progress.pace)}/step")
    if progress.left is not None:
        left = f"ETA {clock(progress.left)}"
        whole = [f"{left} ({clock(progress.left_in_all)})"] if progress.left_in_all is not None else []
        add(*whole, left)
    for note in progress.notes:
        add(note)
    length = min(width - disp_len(line) - len("  ||"), MOST_CELLS)
    if progress.share is not None and length >= FEWEST_CELLS:
        full, part = divmod(round(progress.share * length * (len(cells) - 1)), len(cells) - 1)
        line += f"  |{f'{cells[-1] * full}{cells[part]}'[:length]:{length}}|"
    return line


def wrap(title: str, cells: list[str], width: int) -> str:
    """Return title and cells, on further lines below the first cell if they don't fit."""
    lines, start = [title], True
    for cell in cells:
        if not start and disp_len(f"{lines[-1]}  {cell.rstrip()}") > width:
            lines.append(" " * disp_len(title))
        lines[-1] += f"  {cell}"
        start = False
    return "\n".join(line.rstrip() for line in lines)


def _columns_of(stream: TextIO) -> int:
    """Return the usable columns of a terminal: all but the last, which may break the line."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (AttributeError, ValueError, OSError):
        columns = 0
    # Terminals in containers may report 0.
    return (columns or 80) - 1


class _Line(tqdm):  # type: ignore[type-arg]  # it iterates over nothing
    """A line of tqdm's with a text of ours."""

    monitor_interval = 0  # no thread: the callback draws by its own clock
    text = ""

    def __init__(self, writer: _Writer) -> None:
        super().__init__(file=writer, leave=False, ncols=80, nrows=20, ascii=True)

    def __str__(self) -> str:
        return self.text


class _Writer:
    """Writes in the characters of a stream, and keeps an error: tqdm would hold its lock after one."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._write = stream.write
        self.error: Exception | None = None

    def write(self, text: str) -> int:
        try:
            self._write(fit_encoding(text, self._stream))
        except (OSError, ValueError) as error:
            self.error = self.error or error
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self.error = self.error or error

    def __eq__(self, other: Any) -> bool:
        return other is self or other is self._stream  # by which tqdm finds the bars of a stream

    __hash__ = None  # type: ignore[assignment]
