"""Prints above the table: what the program writes while it is drawn gets lines of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TextIO

from onstage_progbar_logger.above import PrintsAbove
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


class AboveTable(PrintsAbove):
    """Prints above the live display; what is unfinished when it ends goes on below it."""

    def __init__(self, console: Console, stream: TextIO, lock: AbstractContextManager[Any]) -> None:
        self._console = console
        self._decoder = AnsiDecoder()
        super().__init__(stream, lock)

    def show(self, lines: str, write: Callable[[str], int]) -> None:
        """Print by the console, in the colours of the text."""
        texts = lines.removesuffix("\n").split("\n")
        self._console.print(Text("\n").join(map(self._decoder.decode_line, texts)))
