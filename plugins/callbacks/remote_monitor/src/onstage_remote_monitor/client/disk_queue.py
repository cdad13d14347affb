"""Spool: a queue of events on disk, first in, first out."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from onstage_remote_monitor.client import spool_file
from onstage_remote_monitor.client.file_lock import lock_file
from onstage_remote_monitor.client.spool_file import ASIDE, LONGEST_LINE, SUFFIX, Entry, format_entry


class Spool:
    """Queue of events in one file, readable only by its user.

    The file is made with the first event, and deleted if it is closed empty.
    A line that can't be read is moved to a file ``*.unreadable`` beside it, and
    blocks nothing.

    Parameters
    ----------
    folder
        None: a temporary one, which is kept if events are left at the end.
    url
        Address of the server.
    limit
        Maximum size in bytes; `append` refuses further events.

    Attributes
    ----------
    problems
        ``(events lost, message)`` of what could not be read, for the owner to
        remove.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, url: str, limit: int) -> None:
        self._folder = None if folder is None else Path(folder)
        self._temporary = folder is None
        self._url = url
        self._limit = limit
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._start = len(spool_file.format_header(0, url))
        self._read = self._end = self._start
        self._count = 0
        self.problems: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return self._count

    @property
    def path(self) -> Path | None:
        """The file, once there is one."""
        return self._path

    def sync(self) -> None:
        """Wait until the events are on the disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def append(self, entries: Iterable[Entry], limit: int | None = None) -> int:
        """Append events, and return how many fitted into the limit, or into a lower one.

        Raises
        ------
        OSError
            The disk is full, or the folder cannot be written.
        """
        limit = self._limit if limit is None else limit
        lines, size = [], self._end
        for entry in entries:
            line = format_entry(entry)
            if size + len(line) > limit:
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
            line = self._file.readline(LONGEST_LINE)
            entry = spool_file.parse_entry(line)
            if entry is None and not entries:
                self._lose(line)  # another program has changed the file
                continue
            if entry is None:
                break
            if entries and (entry.run, entry.sequence) != (entries[-1].run, entries[-1].sequence + 1):
                break
            entries.append(entry)
        return entries

    def _lose(self, line: bytes) -> None:
        """Go on after the first line, which can't be read; without a line, the file has ended."""
        assert self._path is not None
        lost = 1 if line else self._count
        self.problems.append(spool_file.put_aside(self._path, [line], lost))
        self._read += len(line)
        self._advance(lost)

    def drop(self, count: int) -> None:
        """Remove the first events."""
        assert self._file is not None
        self._file.seek(self._read)
        for _ in range(count):
            self._file.readline()
        self._read = self._file.tell()
        self._advance(count)

    def _advance(self, count: int) -> None:
        """Save the read position after `count` events."""
        assert self._file is not None
        self._count -= count
        if not self._count:
            self._read = self._end = self._start
            self._file.truncate(self._start)
        spool_file.write_position(self._file, self._read)
        self._file.seek(self._read)

    # -- the file

    def _open(self) -> BinaryIO:
        if self._file is None:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="onstage-remote-monitor-"))
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path = self._folder / f"{time.time_ns()}-{secrets.token_hex(4)}{SUFFIX}"
            descriptor = os.open(self._path, spool_file.open_flags(os.O_EXCL), 0o600)
            self._file = open(descriptor, "r+b")  # noqa: SIM115  # closed in close()
            lock_file(self._file)
            self._file.write(spool_file.format_header(self._start, self._url))
            self._file.flush()
        return self._file

    def set_aside(self) -> Path | None:
        """Give up the file, which can't be used any more, and return where it is kept."""
        file, path = self._file, self._path
        self._file = self._path = None
        self._read, self._end, self._count = self._start, self._start, 0
        if file is None or path is None:
            return None
        with contextlib.suppress(OSError):
            file.close()
        with contextlib.suppress(OSError):
            return path.replace(path.with_suffix(ASIDE))
        return path

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
            with contextlib.suppress(OSError):  # it holds lines that could not be read
                self._path.parent.rmdir()
        return None
