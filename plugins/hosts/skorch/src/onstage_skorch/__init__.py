"""onstage's callbacks in the nets of skorch.

`OnstageCallback` is a callback of skorch that runs those of onstage.
"""

from __future__ import annotations

from onstage_skorch.callback import OnstageCallback

__all__ = ["OnstageCallback"]
__version__ = "0.1.0"
