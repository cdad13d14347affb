"""Print what only informs: no error of the output ends a training."""

from __future__ import annotations

import sys
from typing import TextIO

from onstage.errors import warn


def fit_encoding(text: str, stream: object) -> str:
    """Return a text in the characters that a stream can encode.

    Streams with an ``encoding`` of few characters (a redirected log on a
    Chinese, Japanese or Korean Windows, ``LANG=C``) get ``us`` for ``µs`` and
    escapes for other characters.

    Examples
    --------
    >>> import io
    >>> fit_encoding("30.0 µs", io.TextIOWrapper(io.BytesIO(), "gbk"))
    '30.0 us'
    """
    encoding = getattr(stream, "encoding", None)
    if text.isascii() or not isinstance(encoding, str):
        return text
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.replace("µ", "u").encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:  # a stream with an encoding of its own
        return text
    return text


def print_line(text: str, file: TextIO | None = None, end: str = "\n") -> None:
    """Print a line about the training; warn instead of raising if it can't be written.

    Parameters
    ----------
    text
        The line. One line break before it, which leaves the line of a progress
        bar, is printed on terminals only.
    file
        None means ``sys.stdout`` at the time of the call; without one, nothing
        is printed.
    end
        What follows the text.

    Warns
    -----
    OnstageWarning
        The stream is closed, its pipe is, or the disk is full.
    """
    stream = sys.stdout if file is None else file
    if stream is None:
        return
    try:
        if text.startswith("\n") and not stream.isatty():
            text = text[1:]
        stream.write(fit_encoding(text + end, stream))
        stream.flush()
    except (OSError, ValueError) as error:
        warn(f"messages can't be printed: {type(error).__name__}: {error}")
