"""Errors and warnings of onstage, and the text in their messages.

Messages quote what others wrote: names in a package's metadata, docstrings,
errors of plugins, answers of servers. None of it may drive the terminal that
shows the message, so every such text passes through `show_text`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType


class _Message(Exception):
    """An exception whose message is safe to print, whoever wrote parts of it."""

    def __str__(self) -> str:
        return show_lines(super().__str__())


class OnstageError(_Message):
    """Base class of the errors about files, plugins and settings."""


class StateError(OnstageError, ValueError):
    """A saved state is damaged, of another kind, or does not fit."""


class PluginError(OnstageError):
    """A plugin is missing, broken, blocked, or claimed by two distributions."""


class SettingsError(OnstageError, ValueError):
    """A setting in pyproject.toml or the environment is unknown or wrong."""


class Interrupted(SystemExit):
    """A signal ended a run; see `onstage.Run.stop_on_signal`.

    Parameters
    ----------
    signum
        The signal. Uncaught, the program exits with 128 + signum, the
        convention of shells.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum


class OnstageWarning(_Message, UserWarning):
    """A problem that does not stop the training."""


def warn(message: str) -> None:
    """Emit an `OnstageWarning` at the user's line: the first one outside onstage and its plugins.

    Called from a thread of onstage's own, which no line of the user is in, it
    is emitted at the caller.
    """
    import warnings

    caller = sys._getframe(1)
    frame: FrameType | None = caller
    while frame is not None and _package(frame) in _PASSED_OVER:
        frame = frame.f_back
    if frame is None or _package(frame) == "threading":
        frame = caller
    warnings.warn_explicit(
        message,
        OnstageWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=frame.f_globals.get("__name__"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )  # without module_globals: a program of `python -c` has a loader that raises


_PASSED_OVER = ("onstage", "pluggy", "contextlib", "numpy", "torch")
"""Packages whose frames stand between onstage and the user, some as decorators."""


def _package(frame: FrameType) -> str:
    package: str = str(frame.f_globals.get("__name__") or "").partition(".")[0]
    return "onstage" if package.startswith("onstage_") else package


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest known name, or ``""``."""
    from difflib import get_close_matches  # imported late: most runs raise no error

    listed = list(known)
    close = get_close_matches(name, listed, n=1, cutoff=0.6)
    if not close and len(name) > 2:
        close = [each for each in listed if each.startswith(name)]  # acc: accuracy
    return f"; did you mean {close[0]!r}?" if close else ""


def show_text(text: object, limit: int = 200) -> str:
    """Return a text from outside as one line that is safe to print.

    Parameters
    ----------
    text
        What the line is about; its ``str`` is shown.
    limit
        Maximum length of the result; a longer text ends with ``...``.

    Returns
    -------
    str
        The text, with the characters that are not printable (escape sequences,
        line breaks, marks of the writing direction, lone surrogates) as ``repr``
        shows them. Unchanged if there are none.

    Examples
    --------
    >>> print(show_text("a bell: " + chr(7)))
    a bell: \\x07
    >>> show_text("a" * 300, limit=10)
    'aaaaaaa...'
    """
    whole = str(text)
    shown = _escape(whole[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def show_lines(text: str, limit: int = 20_000) -> str:
    """Return a text of several lines as `show_text` does, with its line breaks."""
    whole = text if len(text) <= limit else f"{text[: limit - 3]}..."
    return whole if whole.isprintable() else "\n".join(map(_escape, whole.split("\n")))


def show_error(error: BaseException, limit: int = 500) -> str:
    """Return type and message of an error that the code of others raised.

    Examples
    --------
    >>> show_error(KeyError("a"))
    "KeyError: 'a'"
    """
    try:
        return show_text(f"{type(error).__name__}: {error}", limit)
    except Exception:  # its __str__ may raise as well
        return show_text(type(error).__name__, limit)


def _escape(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def missing_name(caller: FrameType, module: str, message: str) -> Exception:
    """Return the error that a module's ``__getattr__`` raises for a missing name.

    ``from module import name`` replaces an AttributeError by an ImportError
    without the message; hasattr needs an AttributeError.

    Parameters
    ----------
    caller
        Frame of the code that asks for the name.
    """
    import dis

    importing = dis.opname[caller.f_code.co_code[caller.f_lasti]] == "IMPORT_FROM"
    return ImportError(message, name=module) if importing else AttributeError(message)
