"""Leftovers: events on disk that an earlier training could not send."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from onstage.errors import show_error
from onstage_remote_monitor.client import spool_file
from onstage_remote_monitor.client.disk_queue import Spool
from onstage_remote_monitor.client.file_lock import lock_file
from onstage_remote_monitor.client.spool_file import ASIDE, LONGEST_LINE, SUFFIX, Entry

_LINES_AT_ONCE = 1000


class Leftovers:
    """Moves events from the files of ended processes into the spool of this one.

    Parameters
    ----------
    folder
        Where the files are; None: there are none.
    url
        Address of the server; files for another one are left alone.
    limit
        Maximum size of the spool. The events take half of it at most.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, url: str, limit: int) -> None:
        self._folder = None if folder is None else Path(folder)
        self._url = url
        self._limit = limit
        self._done = folder is None
        self._passed_over: set[Path] = set()

    def adopt(self, spool: Spool) -> int:
        """Move events into the spool, and return their number.

        Those that do not fit stay in their file for the next call, which should
        come when the spool is empty. A call with nothing left costs nothing. What
        can't be moved, whatever the reason, is among the spool's problems.
        """
        if self._done or self._folder is None:
            return 0
        self._done = True
        before = len(spool)
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            if path == spool.path or path in self._passed_over:
                continue
            try:
                self._adopt_file(path, spool)
            except FileNotFoundError:  # adopted by another process meanwhile
                continue
            except Exception as error:  # the events of this training go on
                self._pass_over(path, f"can't be taken over: {show_error(error)}", spool)
        return len(spool) - before

    def _adopt_file(self, path: Path, spool: Spool) -> None:
        damaged = finished = False
        with open(path, "r+b") as file:
            if not lock_file(file):
                return  # its process still runs
            try:
                header = spool_file.read_header(file)
            except spool_file.DamagedSpool:
                damaged, header = True, None
            if header is not None and header[1] == self._url:
                finished = self._adopt_lines(path, file, header[0], spool)
            is_strange = header is None and os.fstat(file.fileno()).st_size > 0
        # Closed first: Windows neither renames nor deletes an open file. A process that
        # opens it in between finds the position at the end, and adopts nothing twice.
        if finished:
            path.unlink()
        elif damaged:
            aside = path.replace(path.with_suffix(ASIDE))
            spool.problems.append((0, f"{path} is damaged and not sent; it is now {aside}"))
        elif is_strange:
            self._pass_over(path, "is not a spool of this version", spool)

    def _adopt_lines(self, path: Path, file: BinaryIO, read: int, spool: Spool) -> bool:
        """Copy the events from a position on; return False if some stay for the next time."""
        file.seek(read)
        while lines := list(_lines_of(file)):
            kept = spool.append([entry for _, _, entry in lines if entry], self._limit // 2)
            stop = file.tell()
            end, unreadable = _taken(lines, kept, stop)
            if unreadable:
                spool.problems.append(spool_file.put_aside(path, unreadable, len(unreadable)))
            spool.sync()
            spool_file.write_position(file, end)
            if end < stop:
                self._done = False
                if not len(spool):
                    self._pass_over(
                        path, f"holds an event that does not fit into spool_size={self._limit}", spool
                    )
                return False
            file.seek(end)
        return True

    def _pass_over(self, path: Path, why: str, spool: Spool) -> None:
        self._passed_over.add(path)
        spool.problems.append((0, f"events of an earlier training are not sent: {path} {why}"))


_Line = tuple[int, bytes, Entry | None]
"""Position, content, and the event; None if it can't be read."""


def _lines_of(file: BinaryIO) -> Iterator[_Line]:
    for _ in range(_LINES_AT_ONCE):
        start = file.tell()
        line = file.readline(LONGEST_LINE)
        if not line:
            return
        yield start, line, spool_file.parse_entry(line)


def _taken(lines: list[_Line], kept: int, end: int) -> tuple[int, list[bytes]]:
    """Return the end of the first `kept` events, and the unreadable lines before it."""
    starts = [start for start, _, entry in lines if entry is not None]
    if kept < len(starts):
        end = starts[kept]
    return end, [line for start, line, entry in lines if entry is None and start < end]
