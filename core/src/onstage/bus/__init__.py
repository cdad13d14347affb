"""The event bus: `Bus` on pluggy, the compiler of its stages, and what counts as a plugin."""

from onstage.bus._manager import Bus

__all__ = ["Bus"]
