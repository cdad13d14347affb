"""The live display of a training: a table of its epochs, and a bar for the epoch and for all."""

from __future__ import annotations

import threading
from time import perf_counter
from typing import TextIO, cast

from onstage_progbar_logger import Progress, clock, duration, metric_texts
from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from onstage import History
from onstage.context import RunContext
from onstage.errors import show_text
from onstage.reporting import describe_end, epoch_table, format_duration
from onstage_rich_progress.above import AboveTable, Terminal

MOST_CELLS = 40
"""Length of a bar on a wide terminal."""
FEWEST_CELLS = 5
"""Length below which no bar is drawn."""
LINES_BESIDE = 8
"""Lines of the display that are not rows of the table."""


class RichDisplay:
    """Table and bars at the end of a terminal, drawn again by the callback's clock.

    Parameters
    ----------
    run
        The run, whose `History` has the epochs; None for a callback without a run.
    epochs
        Number of the last epoch, from 1; None if unknown.
    rows
        Most epochs in the table.

    Raises
    ------
    OSError, ValueError
        From `open`, `show` and `finish`, if the stream can't be written to.
    """

    interval = 0.1

    def __init__(self, stream: TextIO, run: RunContext | None, epochs: int | None, rows: int) -> None:
        self._stream = stream
        self._writer = Terminal(stream)
        self.console = Console(file=cast(TextIO, self._writer), highlight=False, force_jupyter=False)
        plugins = [plugin for _, plugin in run.bus.plugins()] if run is not None else []
        self._history = next((one for one in plugins if isinstance(one, History)), History())
        self._epochs = epochs
        self._rows = rows
        self._live: Live | None = None
        self._above: AboveTable | None = None
        self._lock = threading.RLock()
        self._progress: Progress | None = None
        self._began = perf_counter()
        self._in_epoch = False

    def start(self, text: str) -> None:
        """Do nothing: the terminal has the program that started."""

    def open(self, progress: Progress) -> None:
        """Begin an epoch, an evaluation or a prediction."""
        self._in_epoch = True
        if self._live is None:
            self._live = Live(
                console=self.console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
            )
            self._live.start()
            self._above = AboveTable(self.console, self._stream, self._lock)
        self.show(progress)

    def show(self, progress: Progress) -> None:
        """Draw the display again."""
        self._progress = progress
        self._draw(self._bars(progress))

    def finish(self, progress: Progress) -> None:
        """End the epoch, which is a row of the table now; or leave the line of an evaluation."""
        self._in_epoch = False
        self._progress = progress
        if progress.epoch is None:
            self._draw([_line([*_head(progress), *_times(progress)], self.console.width)])
        else:
            self._draw(self._bars(progress))

    def close(self) -> None:
        """Leave the table and how the training ended, or the bars where it was interrupted."""
        live, above, progress = self._live, self._above, self._progress
        self._live = self._above = self._progress = None
        if live is None:
            return
        if progress is not None and progress.epoch is not None and not self._in_epoch:
            live.update(Group(*self._table(), self._end()))
        with self._lock:
            live.stop()
            if above is not None:
                above.close()

    def _draw(self, below: list[RenderableType]) -> None:
        if self._live is not None:
            with self._lock:
                self._live.update(Group(*self._table(), *below), refresh=True)
        if self._writer.error is not None:
            raise self._writer.error

    def _end(self) -> Text:
        count = len(self._history.epoch)
        took = f"{count} {'epoch' if count == 1 else 'epochs'} in {duration(perf_counter() - self._began)}"
        return Text(", ".join(filter(None, [took, describe_end(self._history)])))

    def _table(self) -> list[RenderableType]:
        """Return the last epochs and the best one, in as many columns as are whole."""
        if not self._history.epoch:
            return []
        last = max(1, min(self._rows, self.console.height - LINES_BESIDE))
        content = epoch_table(self._history, last)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        columns = list(zip(content.header, *content.rows, strict=True))
        # The note on the best epoch is in every table, then the metrics that have room.
        kept, width = [0, len(columns) - 1], _width(columns[0]) + _width(columns[-1])
        for number, column in enumerate(columns[1:-1], 1):
            width += _width(column)
            if width > self.console.width:
                break
            kept.insert(-1, number)
        for number in kept:
            right = number in content.right
            table.add_column(Text(columns[number][0]), justify="right" if right else "left", no_wrap=True)
        for number, row in enumerate(content.rows):
            style = "bold green" if number in content.emphasized else ""
            table.add_row(*(Text(row[column]) for column in kept), style=style)
        return [table]

    def _bars(self, progress: Progress) -> list[RenderableType]:
        width = self.console.width
        times = [f"{format_duration(progress.pace)}/step"] if progress.pace is not None else []
        times += [f"ETA {clock(progress.left)}"] if progress.left is not None else []
        lines = [_line([f"{progress.title} {progress.count}", *times], width, progress.share)]
        notes = [show_text(note) for note in progress.notes]
        if cells := [*(show_text(text) for text in metric_texts(progress.metrics, "=")), *notes]:
            lines.append(Text("  ".join(cells), style="cyan"))
        if progress.epoch is not None and self._epochs and self._epochs > 1:
            done = progress.epoch + ((progress.share or 0.0) if self._in_epoch else 1)
            left = [f"ETA {clock(progress.left_in_all)}"] if progress.left_in_all is not None else []
            lines.append(_line(["Training", *left], width, done / self._epochs))
        return lines


def _width(column: tuple[str, ...]) -> int:
    return max(map(cell_len, column)) + 2


def _head(progress: Progress) -> list[str]:
    cells = (show_text(text) for text in metric_texts(progress.metrics, "="))
    return [progress.title, *cells, *filter(None, [progress.stop])]


def _times(progress: Progress) -> list[str]:
    pace = [] if progress.pace is None else [f"{format_duration(progress.pace)}/step"]
    return [duration(progress.seconds), *pace]


def _line(texts: list[str], width: int, share: float | None = None) -> RenderableType:
    """Return texts side by side, as many as are whole, with a bar after the first if there is room."""
    kept = texts[:1]
    for text in texts[1:]:
        if cell_len("  ".join([*kept, text])) <= width:
            kept.append(text)
    room = min(width - cell_len("  ".join(kept)) - 2, MOST_CELLS)
    if share is None or room < FEWEST_CELLS:
        return Text("  ".join(kept))
    grid = Table.grid(padding=(0, 2, 0, 0))
    cells: list[RenderableType] = [Text(kept[0]), ProgressBar(1.0, share, width=room)]
    grid.add_row(*cells, *map(Text, kept[1:]))
    return grid
