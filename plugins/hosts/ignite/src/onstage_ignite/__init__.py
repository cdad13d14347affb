"""onstage's callbacks in the Engine of Ignite.

`OnstageHandler` is a handler of Ignite that runs the callbacks of onstage.
"""

from __future__ import annotations

from onstage_ignite.handler import OnstageHandler

__all__ = ["OnstageHandler"]
__version__ = "0.1.0"
