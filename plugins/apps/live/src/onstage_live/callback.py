"""Live: the callback that sends a training to the page."""

from __future__ import annotations

import os
from typing import Any

from onstage_remote_monitor import RemoteMonitor

from onstage.errors import show_error


class Live(RemoteMonitor):
    """Show the training on the page of ``onstage live``.

    Every value of every epoch and batch is sent by a background thread, which
    never delays the training; while the server is away, they wait on disk. The
    page can stop the training.

    Parameters
    ----------
    root
        Address of the server; by default that in the environment variable
        ONSTAGE_LIVE, or ``"http://localhost:9000"``.
    name
        Name of the run; by default that of the model and the time of its start.
    **options
        As in `RemoteMonitor`: ``token_env``, ``spool``, …

    Examples
    --------
    >>> monitor = Live(name="baseline")
    >>> monitor.events
    'all'
    """

    def __init__(self, root: str | None = None, *, name: str | None = None, **options: Any) -> None:
        root = root or os.environ.get("ONSTAGE_LIVE") or "http://localhost:9000"
        super().__init__(root, events="all", name=name, **options)

    def on_exception(self, exception: BaseException) -> None:
        """Send the error, whose message is for the page alone."""
        self._send_error(exception, show_error(exception, limit=300))
