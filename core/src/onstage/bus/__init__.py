"""The event bus: `Bus` on pluggy, its compiled stages, and the checks of plugins."""

from onstage.bus._manager import Bus

__all__ = ["Bus"]
