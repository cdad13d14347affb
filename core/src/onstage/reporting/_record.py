"""Tables of a run's record: its epochs, and the last and best values of its metrics."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, NamedTuple, Protocol

from onstage.errors import show_text
from onstage.reporting._formatting import format_table, format_value


class Record(Protocol):
    """The record of a run, as `onstage.History` keeps it."""

    history: dict[str, list[Any]]
    epoch: list[int]
    epochs_of: dict[str, list[int]]
    stop_reason: str | None
    stopped_by: str | None
    restored: bool
    disabled: list[str]

    @property
    def best_epoch(self) -> int | None:
        """Number of the best epoch, from 0."""
        ...

    def best(self, name: str) -> tuple[int, float] | None:
        """Return epoch and value of a metric's best."""
        ...


class Table(NamedTuple):
    """A table for people, as text and as HTML.

    Attributes
    ----------
    header, rows
        Texts of the cells.
    right
        Indices of the columns to align right.
    emphasized
        Indices of the rows to print bold in HTML.
    """

    header: list[str]
    rows: list[list[str]]
    right: range
    emphasized: tuple[int, ...] = ()

    def text(self) -> str:
        """Return the table as lines of text."""
        return format_table(self.header, self.rows, right=self.right)

    def html(self) -> str:
        """Return the table without styles or blank lines, which renderers of Markdown remove or end at."""
        from html import escape  # imported late: a terminal shows no HTML

        head = "".join(self._cell("th", n, cell) for n, cell in enumerate(self.header))
        lines = [f"<tr>{head}</tr>"]
        for number, row in enumerate(self.rows):
            cells = [f"<b>{escape(cell)}</b>" if number in self.emphasized else escape(cell) for cell in row]
            lines.append(
                "<tr>" + "".join(self._cell("td", n, cell) for n, cell in enumerate(cells)) + "</tr>"
            )
        body = "\n".join(lines[1:])
        return f"<table>\n<thead>\n{lines[0]}\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>"

    def _cell(self, tag: str, column: int, content: str) -> str:
        return f'<{tag} align="{"right" if column in self.right else "left"}">{content}</{tag}>'


def epoch_table(record: Record, last: int = 20) -> Table:
    """Return a table of the last epochs and the best one, numbered from 1.

    A row of dots stands for the epochs that are left out.
    """
    names = list(record.history)
    best = record.best_epoch
    shown = record.epoch[-last:]
    if best is not None and best not in shown:
        shown.insert(0, best)
    rows: list[list[str]] = []
    emphasized: list[int] = []
    position = -1
    for epoch in shown:
        follows, position = position + 1, bisect_left(record.epoch, epoch)
        if position != follows:
            rows.append(["...", *[""] * (len(names) + 1)])
        if epoch == best:
            emphasized.append(len(rows))
        values = [_shown(value_at(record, name, epoch)) for name in names]
        note = ("best, restored" if record.restored else "best") if epoch == best else ""
        rows.append([str(epoch + 1), *values, note])
    header = ["epoch", *map(show_text, names), ""]
    return Table(header, rows, range(len(names) + 1), tuple(emphasized))


def metric_table(record: Record) -> Table:
    """Return a table of each metric's last and best value, and the epoch of the best, from 1."""
    rows = []
    for name, values in record.history.items():
        best = record.best(name)
        found = ("", "") if best is None else (format_value(best[1]), str(best[0] + 1))
        rows.append([show_text(name), _shown(values[-1]), *found])
    return Table(["metric", "last", "best", "in epoch"], rows, range(1, 4))


def value_at(record: Record, name: str, epoch: int) -> Any:
    """Return the value of a metric in an epoch, None without."""
    epochs = record.epochs_of[name]
    position = bisect_left(epochs, epoch)
    return record.history[name][position] if epochs[position : position + 1] == [epoch] else None


def describe_end(record: Record) -> str:
    """Return why the training ended before its last epoch, and what failed; or ``""``."""
    by = f" by {record.stopped_by}" if record.stopped_by else ""
    parts = [f"stopped{by}: {record.stop_reason}"] if record.stop_reason else []
    if record.disabled:
        parts.append(f"went on without: {', '.join(record.disabled)}")
    return show_text("; ".join(parts), limit=1000)


def _shown(value: Any) -> str:
    return "" if value is None else show_text(format_value(value), limit=40)
