"""Spool: a queue of events on disk, first in, first out."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

try:
    import fcntl
except ImportError:  # without locks, files of other processes are not adopted
    fcntl = None  # type: ignore[assignment]  # an absent module has no type

_KIND = "onstage-spool-1"
_SUFFIX = ".spool"
_DIGITS = 20
_RUN = re.compile(r"[0-9a-f.]{1,80}")
_LONGEST_LINE = 1 << 16
_LINES_AT_ONCE = 1000


class Entry(NamedTuple):
    """One event: its run (``run.attempt``), its number in the run, its JSON."""

    run: str
    sequence: int
    text: str


class Spool:
    """Queue of events in one file, readable only by its user.

    The first line holds the read position and the address of the server; each
    further line is an event. The file is made with the first event, and deleted
    if it is closed empty. Files of killed processes in the same folder are
    adopted by the next process that sends to the same address.

    Parameters
    ----------
    folder
        None: a temporary one, which is kept if events are left at the end.
    url
        Address of the server.
    limit
        Maximum size in bytes; `append` refuses further events.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, url: str, limit: int) -> None:
        self._folder = None if folder is None else Path(folder)
        self._temporary = folder is None
        self._url = url
        self._limit = limit
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._start = self._read = self._end = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, entries: Iterable[Entry]) -> int:
        """Append events, and return how many fitted.

        Raises
        ------
        OSError
            The disk is full, or the folder cannot be written.
        """
        lines, size = [], self._end
        for entry in entries:
            line = json.dumps(entry).encode() + b"\n"
            if size + len(line) > self._limit:
                break
            lines.append(line)
            size += len(line)
        if lines:
            self._write(lines)
        return len(lines)

    def _write(self, lines: list[bytes]) -> None:
        file = self._open()
        try:
            file.seek(self._end)
            file.write(b"".join(lines))
            file.flush()
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(file.fileno(), self._end)  # remove an incomplete line
            raise
        self._end = file.tell()
        self._count += len(lines)

    def peek(self, most: int) -> list[Entry]:
        """Return up to `most` first events with consecutive numbers of one run; keep them."""
        if self._file is None or not self._count:
            return []
        self._file.seek(self._read)
        entries: list[Entry] = []
        while len(entries) < min(most, self._count):
            entry = Entry(*json.loads(self._file.readline()))
            if entries and (entry.run, entry.sequence) != (entries[-1].run, entries[-1].sequence + 1):
                break
            entries.append(entry)
        return entries

    def drop(self, count: int) -> None:
        """Remove the first events."""
        assert self._file is not None
        self._file.seek(self._read)
        for _ in range(count):
            self._file.readline()
        self._read = self._file.tell()
        self._count -= count
        if not self._count:
            self._read = self._end = self._start
            self._file.truncate(self._start)
        # In the first line, so that a process that adopts the file continues there.
        self._file.seek(len(_KIND) + 1)
        self._file.write(f"{self._read:0{_DIGITS}d}".encode())
        self._file.flush()

    def adopt(self) -> int:
        """Adopt events that other processes left for the same address; return their number."""
        if fcntl is None or self._folder is None or not self._folder.is_dir():
            return 0
        before = self._count
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            if path == self._path:
                continue
            with contextlib.suppress(OSError), open(path, "r+b") as file:
                if _lock(file):
                    self._adopt_file(path, file)
        return self._count - before

    def _adopt_file(self, path: Path, file: BinaryIO) -> None:
        try:
            kind, read, url = file.readline(_LONGEST_LINE).decode().rstrip("\n").split(" ", 2)
            if kind != _KIND or url != self._url:
                return
            file.seek(int(read))
        except ValueError:
            return  # not a spool
        if self._end + path.stat().st_size > self._limit:
            return
        while lines := list(islice(file, _LINES_AT_ONCE)):
            self.append(entry for line in lines if (entry := _parsed(line)) is not None)
        if self._file is not None:
            os.fsync(self._file.fileno())
        path.unlink()

    def _open(self) -> BinaryIO:
        if self._file is None:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="onstage-remote-monitor-"))
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path = self._folder / f"{time.time_ns()}-{secrets.token_hex(4)}{_SUFFIX}"
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            self._file = open(os.open(self._path, flags, 0o600), "r+b")  # noqa: SIM115  # closed in close()
            if fcntl is not None:
                _lock(self._file)
            self._file.write(f"{_KIND} {0:0{_DIGITS}d} {self._url}\n".encode())
            self._start = self._read = self._end = self._file.tell()
            self.drop(0)
        return self._file

    def close(self) -> Path | None:
        """Close the file; return its path if it holds events, else delete it."""
        if self._file is None or self._path is None:
            return None
        self._file.close()
        self._file = None
        if self._count:
            return self._path
        self._path.unlink(missing_ok=True)
        if self._temporary:
            self._path.parent.rmdir()
        return None


def _lock(file: BinaryIO) -> bool:
    """Lock a file until it is closed or the process ends; return False if another process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _parsed(line: bytes) -> Entry | None:
    """Return the event of a line; None if it is incomplete or not an event."""
    try:
        run, sequence, text = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return None
    if isinstance(run, str) and _RUN.fullmatch(run) and isinstance(sequence, int) and isinstance(text, str):
        return Entry(run, sequence, text)
    return None
