"""Prints above a bar: what the program writes while a bar is open gets lines of its own."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO

from tqdm import tqdm

DRAWING = ("tqdm", __package__)
"""Packages that draw bars, whose texts pass as they are."""


class PrintsAbove:
    """Lets all that is written to a terminal stand above the bar on it.

    Parameters
    ----------
    stream
        Stream of the bar. Standard output and error stand above it too if they
        lead to the same terminal or file.

    Notes
    -----
    The ``write`` of the stream objects is replaced, not ``sys.stdout``: handlers
    of ``logging`` and others hold the objects. Texts of child processes and of
    extensions that write to the file descriptor do not pass here.
    """

    def __init__(self, stream: TextIO) -> None:
        candidates = [stream, sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__]
        shared = {id(each): each for each in candidates if each is not None and _is_same(each, stream)}
        self._streams = [_Stream(each, stream) for each in shared.values() if hasattr(each, "__dict__")]

    def close(self) -> None:
        """Let the streams be as they were; print their unfinished lines."""
        for each in self._streams:
            each.close()


class _Stream:
    """A stream whose lines are printed above the bars as soon as they are complete."""

    def __init__(self, stream: TextIO, bars: TextIO) -> None:
        self._attributes = vars(stream)
        self._before = self._attributes.get("write")  # of another program, such as an experiment tracker
        self._write = stream.write
        self._bars = bars
        self._held = ""
        self._process: int | None = os.getpid()
        self._attributes["write"] = self.write

    def write(self, text: str) -> int:
        caller = sys._getframe(1).f_globals.get("__name__", "").partition(".")[0]
        if caller in DRAWING or os.getpid() != self._process:  # closed, or the child of a fork
            return self._write(text)
        with tqdm.get_lock():  # type: ignore[no-untyped-call]  # in its stubs
            if not self._held and len(text) > 1:
                text = text.removeprefix("\n")  # a line break to leave the line of the bar
            lines, line_break, self._held = (self._held + text).rpartition("\n")
            if line_break:
                with tqdm.external_write_mode(self._bars, nolock=True):
                    self._write(lines + line_break)
        return len(text)

    def close(self) -> None:
        self._process = None
        if self._attributes.get("write") == self.write:
            del self._attributes["write"]
            if self._before is not None:
                self._attributes["write"] = self._before
        if self._held:
            with suppress(OSError, ValueError):
                self._write(f"{self._held}\n")


def _is_same(one: TextIO, other: TextIO) -> bool:
    """Return whether two streams lead to the same terminal or file."""
    if one is other:
        return True
    try:
        return os.path.sameopenfile(one.fileno(), other.fileno())
    except (AttributeError, ValueError, OSError):
        return False
