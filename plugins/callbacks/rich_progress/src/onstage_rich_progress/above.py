"""Prints above the table: what the program writes while it is drawn gets lines of its own."""

from __future__ import annotations

import os
import sys
import threading
from typing import TextIO

from rich.ansi import AnsiDecoder
from rich.console import Console
from rich.text import Text

from onstage.reporting import fit_encoding


class Terminal:
    """The stream of a console. Keeps an error: rich would end the program after one.

    Attributes
    ----------
    error
        The first error of a write, None without.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._write = stream.write  # as it is now, see `PrintsAbove`
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        self.error: Exception | None = None

    def write(self, text: str) -> int:
        """Write in the characters of the stream; keep an error."""
        try:
            self._write(fit_encoding(text, self._stream))
        except (OSError, ValueError) as error:
            self.error = self.error or error
        return len(text)

    def flush(self) -> None:
        """Flush the stream; keep an error."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self.error = self.error or error

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor, by which rich finds the size of the terminal."""
        return self._stream.fileno()


class PrintsAbove:
    """Lets what is written to a terminal stand above the live display on it.

    Parameters
    ----------
    console, stream
        Console of the display; its stream.
    lock
        Held while the display is drawn: rich computes where the display stands
        before it writes, and a print of another thread would move it.

    Notes
    -----
    The ``write`` of the stream objects is replaced, not ``sys.stdout`` as rich
    does: handlers of ``logging`` hold the objects.
    """

    def __init__(self, console: Console, stream: TextIO, lock: threading.RLock) -> None:
        candidates = [stream, sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__]
        shared = {id(each): each for each in candidates if each is not None and _is_same(each, stream)}
        self._streams = [
            _Stream(console, each, lock) for each in shared.values() if hasattr(each, "__dict__")
        ]

    def close(self) -> None:
        """Write unfinished lines, and let the streams be as they were."""
        for each in self._streams:
            each.close()


class _Stream:
    """Prints whole lines; what is unfinished at the end goes on below the display."""

    def __init__(self, console: Console, stream: TextIO, lock: threading.RLock) -> None:
        self._console = console
        self._attributes = vars(stream)
        self._before = self._attributes.get("write")  # of another program, such as an experiment tracker
        self._write = stream.write
        self._decoder = AnsiDecoder()
        self._unfinished = ""
        self._lock = lock
        self._process: int | None = os.getpid()
        self._attributes["write"] = self.write

    def write(self, text: str) -> int:
        if os.getpid() != self._process:  # closed, or the child of a fork
            return self._write(text)
        with self._lock:
            if self._process is None:
                return self._write(text)
            *lines, self._unfinished = (self._unfinished + text).split("\n")
            if lines:
                self._console.print(Text("\n").join(map(self._decoder.decode_line, lines)))
        return len(text)

    def close(self) -> None:
        with self._lock:
            self._process = None
            if self._attributes.get("write") == self.write:
                del self._attributes["write"]
                if self._before is not None:
                    self._attributes["write"] = self._before
            if self._unfinished:
                self._write(self._unfinished)


def _is_same(one: TextIO, other: TextIO) -> bool:
    """Return whether two streams lead to the same terminal or file."""
    if one is other:
        return True
    try:
        return os.path.sameopenfile(one.fileno(), other.fileno())
    except (AttributeError, ValueError, OSError):
        return False
