"""The receiving side: events in memory, and a page that draws them."""

from onstage_remote_monitor.server.server import Server

__all__ = ["Server"]
