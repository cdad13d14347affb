"""A live page of all training runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onstage_live.callback import Live

if TYPE_CHECKING:
    from onstage_live.server import Server

__all__ = ["Live", "Server"]


def __getattr__(name: str) -> Any:
    """Import the server on first use: training does not need it."""
    if name != "Server":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from onstage_live.server import Server

    return Server
