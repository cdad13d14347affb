"""Errors and warnings of onstage, and the suggestion in their messages."""

from __future__ import annotations

from collections.abc import Iterable


class OnstageError(Exception):
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


class OnstageWarning(UserWarning):
    """A problem that does not stop the training."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest known name, or ``""``."""
    from difflib import get_close_matches  # imported late: most runs raise no error

    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
