"""Description of a run for the page of a server: what it is, and why it ended."""

from __future__ import annotations

import os
import socket
from typing import Any

from onstage import Callback, History
from onstage.callbacks.tracking import collect_params
from onstage.context import RunContext
from onstage.errors import show_text


def describe_begin(run: RunContext | None, asking: Callback, name: str | None) -> dict[str, Any]:
    """Return the name, model, hyperparameters and callbacks of a run, and its process.

    Parameters
    ----------
    asking
        The callback that asks, which is left out.
    name
        Name that the user gave.
    """
    found: dict[str, Any] = {"name": name, "host": socket.gethostname(), "pid": os.getpid()}
    if run is None:
        return found
    others = [
        plugin for _, plugin in run.bus.plugins() if plugin is not asking and not isinstance(plugin, History)
    ]
    return found | {
        "model": _name_of(run.model),
        "epochs": run.params.get("epochs"),
        "params": collect_params(run, asking, {}),
        "callbacks": [_shown(plugin) for plugin in others],
    }


def describe_end(run: RunContext | None) -> dict[str, Any]:
    """Return why a run was stopped, and by which callback."""
    reason, by = getattr(run, "stop_reason", None), getattr(run, "stopped_by", None)
    return {} if reason is None else {"stop_reason": show_text(reason, limit=300), "stopped_by": by}


def _name_of(model: Any) -> str:
    """Return the class of a model; of a view, that of its module or the name of its trainer."""
    host = getattr(model, "host", None)
    inner = getattr(model, "module", model)
    if isinstance(host, str) and inner is model:
        return host
    return "" if model is None else type(inner).__name__


def _shown(plugin: object) -> str:
    if not isinstance(plugin, Callback):
        return type(plugin).__name__
    try:
        return show_text(repr(plugin), limit=300)
    except Exception:  # of a __repr__ that others wrote
        return type(plugin).__name__
