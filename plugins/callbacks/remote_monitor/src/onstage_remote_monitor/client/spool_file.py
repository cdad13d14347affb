"""The format of a spool: a first line about the file, then one event a line."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias

from onstage.errors import show_text
from onstage_remote_monitor.client.encoding import MAX_BYTES

SUFFIX = ".spool"
ASIDE = ".unreadable"
"""Suffix of a file that keeps lines which can't be read."""
LONGEST_LINE = 4 * MAX_BYTES
"""Events are quoted once more, which at most doubles them."""

_KIND = "onstage-spool-1"
_DIGITS = 20
_LONGEST_HEADER = 1 << 16
_HEADER = re.compile(rf"({_KIND}) ([0-9]{{{_DIGITS}}}) (\S.*)\n")
_RUN = re.compile(r"[0-9a-f.]{1,80}")
_SEQUENCES = 10**15
"""Numbers have 15 digits at most, which is what a server accepts."""


Problem: TypeAlias = tuple[int, str]
"""Number of events that are lost, and a message."""


class Entry(NamedTuple):
    """One event: its run (``run.attempt``), its number in the run, its JSON."""

    run: str
    sequence: int
    text: str


class DamagedSpool(ValueError):
    """The first line of a spool can't be read."""


def format_header(read: int, url: str) -> bytes:
    """Return the first line: the position of the next event to send, and the address."""
    return f"{_KIND} {read:0{_DIGITS}d} {url}\n".encode()


def write_position(file: BinaryIO, read: int) -> None:
    """Replace the position in the first line, where an adopting process continues."""
    file.seek(len(_KIND) + 1)
    file.write(f"{read:0{_DIGITS}d}".encode())
    file.flush()


def read_header(file: BinaryIO) -> tuple[int, str] | None:
    """Return the position and the address of a file; None if it is no spool.

    Raises
    ------
    DamagedSpool
        If it is a spool, but its first line is wrong.
    """
    line = file.readline(_LONGEST_HEADER)
    if not line.startswith(_KIND.encode()):
        return None
    found = _HEADER.fullmatch(line.decode(errors="replace"))
    if found is None or not len(line) <= int(found[2]) <= os.fstat(file.fileno()).st_size:
        raise DamagedSpool
    return int(found[2]), found[3]


def format_entry(entry: Entry) -> bytes:
    """Return the line of an event."""
    return json.dumps(entry).encode() + b"\n"


def parse_entry(line: bytes) -> Entry | None:
    """Return the event of a line; None if it is incomplete or not an event.

    An event is checked whole: one that can't be sent would block those after it.
    """
    if not line.endswith(b"\n"):
        return None
    try:
        run, sequence, text = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return None
    if not (isinstance(run, str) and _RUN.fullmatch(run)):
        return None
    if type(sequence) is not int or not 0 <= sequence < _SEQUENCES:
        return None
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or len(text) > MAX_BYTES:
        return None
    return Entry(run, sequence, text)


def put_aside(path: Path, lines: Sequence[bytes], lost: int) -> Problem:
    """Move lines of a spool that can't be read to a file beside it."""
    if not any(lines):
        return lost, f"{lost} of the events in {path} are gone: another program has truncated it"
    aside = path.with_suffix(ASIDE)
    try:
        with open(os.open(aside, open_flags(os.O_APPEND), 0o600), "ab") as file:
            file.writelines(lines)
        where = f"they are in {aside}"
    except OSError as error:
        where = f"they could not be kept in {aside}: {show_text(error)}"
    return lost, f"{lost} of the events in {path} can't be read; {where}"


def open_flags(more: int) -> int:
    """Return the flags with which `os.open` makes a file for bytes."""
    return os.O_RDWR | os.O_CREAT | more | getattr(os, "O_BINARY", 0)
