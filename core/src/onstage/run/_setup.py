"""Set up a run: its callbacks in call order, and its reports."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from onstage.callbacks._base import Callback
from onstage.callbacks._history import History
from onstage.errors import PluginError, warn
from onstage.registry import _factory, _selection
from onstage.registry._config import Settings
from onstage.registry._ordering import sort_callbacks
from onstage.reporting import print_line
from onstage.reporting._profile import Profile, Trace
from onstage.validation import validate_int, validate_optional_int

PROGRESS_BAR = "progbar_logger"


def check_arguments(model: object, epochs: int | None, initial_epoch: int) -> None:
    """Raise TypeError or ValueError if an argument of a Run is of another kind."""
    if isinstance(model, str | list | tuple | dict | Callback):
        raise TypeError(f"model must be a model or None, got {model!r}; write Run(callbacks={model!r})")
    validate_optional_int("epochs", epochs, 0)
    validate_int("initial_epoch", initial_epoch, 0)


def resolve_callbacks(
    callbacks: Any, verbose: int | str, rank: int, settings: Settings | None = None
) -> tuple[list[object], History]:
    """Return the callbacks of a run in call order, and its History.

    Always-on plugins come first, then the list in its order (except for
    ``before`` and ``after``), then History, then the progress bar. Ranks above 0
    keep only callbacks with ``ranks = "all"``.

    Raises
    ------
    TypeError, ValueError, PluginError
        If a name or an option is unknown, or an order is circular.
    """
    if verbose not in (0, 1, 2, "auto"):
        raise ValueError(f"verbose must be 0, 1, 2 or 'auto', got {verbose!r}")
    chosen = sort_callbacks(_selection.resolve(callbacks, settings))
    histories = [plugin for plugin in chosen if isinstance(plugin, History)]
    if len(histories) > 1:
        raise ValueError(f"callbacks must hold one History at most, got {len(histories)}")
    bars = [plugin for plugin in chosen if getattr(plugin, "shows_progress", False)]
    others = [plugin for plugin in chosen if plugin not in histories and plugin not in bars]
    history = histories[0] if histories else History()
    if verbose and not bars and rank == 0:
        bars = progress_bar(verbose)
    plugins = [*_selection.autouse(settings), *others, history, *bars]
    return [plugin for plugin in plugins if rank == 0 or getattr(plugin, "ranks", "all") == "all"], history


def progress_bar(verbose: int | str) -> list[object]:
    """Make the progress bar. If it is not installed, warn, except for "auto"."""
    try:
        return [_factory.callback(PROGRESS_BAR)]
    except PluginError as error:
        if verbose != "auto":
            warn(f"verbose={verbose!r} shows nothing: {error}")
        return []


class Report:
    """The trace and the profile of the calls of a run."""

    def __init__(self, profile: Profile | None, trace: Trace | None) -> None:
        self._profile = profile
        self._trace = trace

    def instrument(self, stage: str, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a method of a callback to trace and time it."""
        for instrument in (self._profile, self._trace):
            if instrument is not None:
                method = instrument.wrap(stage, name, method)
        return method

    def close(self) -> None:
        """Print the table of the profile, if there is one."""
        if self._profile is not None:
            print_line(self._profile.table(), sys.stderr)


def report(profile: bool | None, settings: Settings) -> Report | None:
    """Make the report of a run, by its argument and the user's settings; None without."""
    timed = settings.profile if profile is None else profile
    if not (timed or settings.trace):
        return None
    return Report(Profile() if timed else None, Trace() if settings.trace else None)
