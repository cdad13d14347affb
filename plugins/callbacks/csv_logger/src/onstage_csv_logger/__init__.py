"""CSVLogger: one row of metrics per epoch, on disk when the epoch ends."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Sequence
from itertools import chain
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, Literal

from onstage import Callback, Logs, StateError
from onstage.errors import warn
from onstage.model import State
from onstage.state.atomic import flush_to_disk, write_atomic
from onstage.state.lock import FileLock
from onstage.validation import validate_bool, validate_state

__all__ = ["CSVLogger"]

_READING = Lock()
"""Held while a file is read: the longest field that the module reads is one for all threads."""

_NUMBER = re.compile(r"-?(inf|[0-9.]+(e[+-][0-9]+)?)")

MISSING = "NA"
"""Cell of a metric that is not in the epoch's logs."""


class CSVLogger(Callback):
    """Append a row to a CSV file after each epoch.

    Columns are ``epoch``, counted from 0, and the metrics in alphabetical
    order; a metric that first appears later is added on the right. Numbers are
    written so that they are read back exactly. Text that a spreadsheet would run
    as a formula is prefixed with an apostrophe.

    The file is not kept open, and is complete after each epoch. A row that
    cannot be written, because of an error of the disk, is written with the next
    one, at the latest when training ends.

    Parameters
    ----------
    filename
        Path of the file, for this training alone: it is locked while the
        training runs. Its directory is created if it is missing.
    separator
        One character.
    append
        Whether to append to an existing file; its columns and the new ones are
        merged.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; at the start of training, if the file to
        append to is not such a log.
    RuntimeError
        At the start of training, if another one is writing the file.
    OSError
        If the file can't be created, or not be written three times in a row, or
        at the end.
    """

    on_error: Literal["raise", "disable", "retry"] = "retry"
    adds_logs: ClassVar[tuple[str, ...]] = ()
    ranks: ClassVar[Literal["zero", "all"]] = "zero"

    def __init__(
        self, filename: str | PathLike[str] = "training.csv", separator: str = ",", append: bool = False
    ) -> None:
        if not isinstance(filename, (str, PathLike)) or not Path(filename).name:
            raise TypeError(f"filename must be the path of a file, got {filename!r}")
        if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n':
            raise ValueError(
                f"separator must be one character other than a quote or line break, got {separator!r}"
            )
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = validate_bool("append", append)
        path = Path(self.filename)
        self._lock = FileLock(path.with_name(f".{path.name}.lock"), f"filename {self.filename!r}")
        self._columns: list[str] = []
        self._rows = 0
        self._unwritten: list[dict[str, str]] = []
        self._failed_at: int | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Create the directory, and start the file or read the existing one."""
        path = Path(self.filename)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        self._unwritten, self._failed_at, self.failures = [], None, None
        resumed = self.run is not None and self.run.resumed
        if (self.append or resumed) and path.exists():
            self._continue(self._read(warn=not resumed))
        else:
            path.write_bytes(b"")
            self._columns, self._rows = [], 0
        self.failures = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the epoch's row, after those that could not be written."""
        cells = {_text(name): _cell(value) for name, value in sorted((logs or {}).items())}
        cells = {"epoch": str(epoch), **{name: cell for name, cell in cells.items() if name != "epoch"}}
        self._unwritten.append(cells)
        self._write_rows()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Write the rows that could not be written; raise OSError if they still can't."""
        self.failures = None  # There is no next time.
        self._write_rows()

    def on_teardown(self) -> None:
        """Release the file."""
        self._lock.release()

    def _write_rows(self) -> None:
        while self._unwritten:
            self._remove_failed()
            cells = self._unwritten[0]
            new = [name for name in cells if name not in self._columns]
            if new:
                self._widen(new)
            self._add([cells.get(name, MISSING) for name in self._columns])
            del self._unwritten[0]
            self.failures = 0

    def _remove_failed(self) -> None:
        """Remove what an attempt that failed has left of its row."""
        if self._failed_at is not None and os.path.getsize(self.filename) > self._failed_at:
            os.truncate(self.filename, self._failed_at)
        self._failed_at = None

    def _widen(self, new: Sequence[str]) -> None:
        columns = [*self._columns, *new]
        rows = [_fit(dict(zip(self._columns, row, strict=True)), columns) for row in self._read()[1:]]
        self._write([columns, *rows])
        self._columns = columns

    def _add(self, row: Sequence[str]) -> None:
        with open(self.filename, "ab") as file:
            self._failed_at = file.tell()
            file.write(self._format([row]).encode())
            file.flush()
            flush_to_disk(file.fileno())
        self._failed_at = None
        self._rows += 1

    # -- the file as a whole

    def _continue(self, table: list[list[str]]) -> None:
        """Continue with the columns and rows of a file."""
        if not table:
            self._columns, self._rows = [], 0
            return
        header, rows = table[0], table[1:]
        if header[0] != "epoch" or any(len(row) != len(header) for row in rows):
            raise ValueError(
                f"filename must be a CSV file to append to, with the separator {self.separator!r}, "
                f"'epoch' as its first column and rows of one length, got '{self.filename}'"
            )
        self._columns, self._rows = header, len(rows)

    def _read(self, *, warn: bool = False) -> list[list[str]]:
        """Return header and rows; cut off a last row without a line end."""
        with open(self.filename, encoding="utf-8", newline="") as file:
            text = file.read()
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            if warn:
                self._warn(f"ended in an incomplete row, which is removed: {text[len(whole) :][:80]!r}")
            write_atomic(self.filename, [whole.encode()])
        with _READING:
            limit = csv.field_size_limit(max(len(whole), csv.field_size_limit()))
            try:
                return [
                    row for row in csv.reader(io.StringIO(whole, newline=""), delimiter=self.separator) if row
                ]
            finally:
                csv.field_size_limit(limit)

    def _write(self, table: Iterable[Sequence[str]]) -> None:
        write_atomic(self.filename, [self._format(table).encode()])

    def _format(self, table: Iterable[Sequence[str]]) -> str:
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=self.separator, lineterminator="\n").writerows(table)
        return text.getvalue()

    # -- resume

    def state_dict(self) -> State:
        """Return the columns, the number of rows, and the rows that could not be written."""
        unwritten = [dict(cells) for cells in self._unwritten]
        return {"columns": list(self._columns), "rows": self._rows, "unwritten": unwritten}

    def load_state_dict(self, state: State) -> None:
        """Truncate the file to the saved rows and columns.

        Raise StateError if the state is not one of `state_dict`.
        """
        columns, rows_saved, unwritten = validate_state(state, columns=list, rows=int, unwritten=list)
        if columns[:1] not in ([], ["epoch"]) or not all(map(_is_text, columns)):
            raise StateError("the saved columns must be names as this callback writes them")
        if not all(isinstance(cells, dict) and _is_row(cells) for cells in unwritten):
            raise StateError("the saved rows must be names and cells as this callback writes them")
        self._rows, self._unwritten = rows_saved, [dict(cells) for cells in unwritten]
        table = self._read() if Path(self.filename).exists() else []
        header, rows = (table[0], table[1:]) if table else ([], [])
        self._columns = list(columns)
        if len(rows) < self._rows:
            self._warn(
                f"had {self._rows} rows when the run was saved, now {len(rows)}; the other rows are lost"
            )
        kept = [_fit(dict(zip(header, row, strict=False)), self._columns) for row in rows[: self._rows]]
        self._write([self._columns, *kept] if self._columns else [])

    def _warn(self, problem: str) -> None:
        warn(f"'{self.filename}' {problem}")


def _fit(row: dict[str, str], columns: Iterable[str]) -> list[str]:
    return [row.get(name, MISSING) for name in columns]


def _cell(value: Any) -> str:
    if hasattr(value, "tolist"):
        value = value.tolist()  # scalars and arrays of numpy and torch
    if isinstance(value, (bool, int, float)):
        return repr(value)
    return _text(str(value))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value == _text(value)


def _is_row(cells: dict[Any, Any]) -> bool:
    """Return whether cells from a file are as this callback makes them; a number may begin with a sign."""
    names_and_texts = chain(cells, (cell for cell in cells.values() if not _is_number(cell)))
    return next(iter(cells), None) == "epoch" and all(map(_is_text, names_and_texts))


def _is_number(cell: object) -> bool:
    return isinstance(cell, str) and _NUMBER.fullmatch(cell) is not None


def _text(text: str) -> str:
    """Return text as one line that no spreadsheet runs as a formula."""
    line = " ".join(text.split())
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line
