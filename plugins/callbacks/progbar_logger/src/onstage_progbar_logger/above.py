"""Prints above a display: what the program writes while it is drawn gets lines of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, ClassVar, TextIO

from tqdm import tqdm


class PrintsAbove:
    """Lets all that is written to a terminal stand above the display on it.

    A subclass says how its display shows lines.

    Parameters
    ----------
    stream
        Stream of the display. Standard output and error stand above it too if
        they lead to the same terminal or file.
    lock
        Held while lines are shown, and by whoever draws the display: a print of
        another thread would move it. The same thread may take it again.

    Notes
    -----
    The ``write`` of the stream objects is replaced, not ``sys.stdout``: handlers
    of ``logging`` and others hold the objects. Texts of child processes and of
    extensions that write to the file descriptor do not pass here.
    """

    drawing: ClassVar[tuple[str | None, ...]] = ()
    """Packages that draw on the stream, whose texts pass as they are."""

    def __init__(self, stream: TextIO, lock: AbstractContextManager[Any]) -> None:
        self.lock = lock
        candidates = [stream, sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__]
        shared = {id(each): each for each in candidates if each is not None and _is_same(each, stream)}
        self._streams = [_Stream(each, self) for each in shared.values() if hasattr(each, "__dict__")]

    def show(self, lines: str, write: Callable[[str], int]) -> None:
        """Show whole lines, which end with a line break; `write` is the stream's own."""
        raise NotImplementedError

    def begin(self, text: str) -> str:
        """Return a text that begins a line as it is to be shown."""
        return text

    def end(self, text: str) -> str:
        """Return an unfinished line as it is to be written when the display ends."""
        return text

    def close(self) -> None:
        """Let the streams be as they were; write their unfinished lines."""
        with self.lock:
            for each in self._streams:
                each.close()


class AboveBars(PrintsAbove):
    """Prints above the bars of tqdm."""

    drawing = ("tqdm", __package__)

    def __init__(self, stream: TextIO) -> None:
        self._bars = stream
        super().__init__(stream, tqdm.get_lock())  # type: ignore[no-untyped-call]  # in its stubs

    def show(self, lines: str, write: Callable[[str], int]) -> None:
        """Write between the bars."""
        with tqdm.external_write_mode(self._bars, nolock=True):
            write(lines)

    def begin(self, text: str) -> str:
        """Remove a line break to leave the line of the bar."""
        return text.removeprefix("\n") if len(text) > 1 else text

    def end(self, text: str) -> str:
        """End the line: that of the bar follows."""
        return f"{text}\n"


class _Stream:
    """A stream whose lines are shown as soon as they are complete."""

    def __init__(self, stream: TextIO, above: PrintsAbove) -> None:
        self._attributes = vars(stream)
        self._before = self._attributes.get("write")  # of another program, such as an experiment tracker
        self._write = stream.write
        self._above = above
        self._held = ""
        self._process: int | None = os.getpid()
        self._attributes["write"] = self.write

    def write(self, text: str) -> int:
        caller = sys._getframe(1).f_globals.get("__name__", "").partition(".")[0]
        # Closed, or the child of a fork.
        if caller in self._above.drawing or os.getpid() != self._process:
            return self._write(text)
        with self._above.lock:
            if self._process is None:  # closed while this thread waited
                return self._write(text)
            begun = self._held + text if self._held else self._above.begin(text)
            lines, line_break, self._held = begun.rpartition("\n")
            if line_break:
                self._above.show(lines + line_break, self._write)
        return len(text)

    def close(self) -> None:
        self._process = None
        if self._attributes.get("write") == self.write:
            del self._attributes["write"]
            if self._before is not None:
                self._attributes["write"] = self._before
        if self._held:
            with suppress(OSError, ValueError):
                self._write(self._above.end(self._held))


def _is_same(one: TextIO, other: TextIO) -> bool:
    """Return whether two streams lead to the same terminal or file."""
    if one is other:
        return True
    try:
        return os.path.sameopenfile(one.fileno(), other.fileno())
    except (AttributeError, ValueError, OSError):
        return False
