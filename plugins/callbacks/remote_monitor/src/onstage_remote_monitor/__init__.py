"""Stream training events to an HTTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onstage_remote_monitor.callback import RemoteMonitor

if TYPE_CHECKING:
    from onstage_remote_monitor.server import Server

__all__ = ["RemoteMonitor", "Server"]


def __getattr__(name: str) -> Any:
    """Import the server on first use: training does not need it."""
    if name != "Server":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from onstage_remote_monitor.server import Server

    return Server
