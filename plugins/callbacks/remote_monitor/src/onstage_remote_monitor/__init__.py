"""Stream training events to an HTTP server."""

from onstage_remote_monitor.callback import RemoteMonitor

__all__ = ["RemoteMonitor"]
