"""What a run begins with: its callbacks in their order, and what it reports."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any, cast

from onstage.callbacks._history import History
from onstage.errors import OnstageWarning, PluginError
from onstage.registry import _config, _discovery, _factory, _selection
from onstage.registry._factory import signature_of
from onstage.registry._ordering import sort_callbacks
from onstage.reporting._profile import Profile, Trace

PROGRESS_BAR = "progbar_logger"


def resolve_callbacks(callbacks: Any, verbose: int | str, rank: int) -> tuple[list[object], History]:
    """Put the callbacks of a run in order.

    Always-on plugins first, then the list as given (but for ``before`` and
    ``after``), then History, then the progress bar. On a rank above 0 only
    those with ``ranks = "all"``.

    Raises
    ------
    TypeError, ValueError, PluginError
        A name is unknown, an option doesn't exist, an order is circular.
    """
    if verbose not in (0, 1, 2, "auto"):
        raise ValueError(f"verbose must be 0, 1, 2 or 'auto', got {verbose!r}")
    chosen = sort_callbacks(_selection.resolve(callbacks))
    histories = [plugin for plugin in chosen if isinstance(plugin, History)]
    if len(histories) > 1:
        raise ValueError(f"callbacks must hold one History at most, got {len(histories)}")
    bars = [plugin for plugin in chosen if type(plugin).__name__ == "ProgbarLogger"]
    others = [plugin for plugin in chosen if plugin not in histories and plugin not in bars]
    history = histories[0] if histories else History()
    if verbose and not bars and rank == 0:
        bars = progress_bar(verbose)
    plugins = [*_selection.autouse(), *others, history, *bars]
    return [plugin for plugin in plugins if rank == 0 or getattr(plugin, "ranks", "all") == "all"], history


def progress_bar(verbose: int | str) -> list[object]:
    """Make the progress bar, if it is installed; "auto" goes without."""
    try:
        return [_factory.callback(PROGRESS_BAR)]
    except PluginError as error:
        if verbose != "auto":
            warn(f"verbose={verbose!r} shows nothing: {error}")
        return []


def describe_plugins(named: list[tuple[str, object]]) -> list[dict[str, Any]]:
    """Record the plugins of a run: name, distribution, version, options; in order."""
    record = []
    for name, plugin in named:
        _, distribution, version = _discovery.provenance(plugin)
        record.append(
            {"name": name, "distribution": distribution, "version": version, "options": plain_options(plugin)}
        )
    return record


def plain_options(plugin: object) -> dict[str, Any]:
    """Give the constructor's arguments that a plugin keeps under their own names.

    Only plain values: what JSON can hold. Names that begin with an underscore,
    and secrets (``token``, ``headers``), are left out.
    """
    signature = signature_of(cast(Callable[..., object], type(plugin)))
    parameters = signature.parameters if signature else ()
    kept = {name: getattr(plugin, name, None) for name in parameters if name not in ("token", "headers")}
    return {name: value for name, value in kept.items() if isinstance(value, (str, int, float, bool))}


def warn(message: str) -> None:
    """Warn the user, from wherever the run was made."""
    warnings.warn(message, OnstageWarning, stacklevel=4)


class Report:
    """What traces or times the calls of a run, as asked for."""

    def __init__(self, profile: Profile | None, trace: Trace | None) -> None:
        self._profile = profile
        self._trace = trace

    def instrument(self, stage: str, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a method that a stage will call."""
        for instrument in (self._profile, self._trace):
            if instrument is not None:
                method = instrument.wrap(stage, name, method)
        return method

    def close(self) -> None:
        """Print the table of a profile."""
        if self._profile is not None:
            print(self._profile.table(), file=sys.stderr)


def report(profile: bool | None) -> Report | None:
    """Give what traces or times this run's calls; None when nobody asked."""
    settings = _config.settings()
    timed = settings.profile if profile is None else profile
    if not (timed or settings.trace):
        return None
    return Report(Profile() if timed else None, Trace() if settings.trace else None)
