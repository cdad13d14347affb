"""onstage's callbacks in the Trainer of Lightning.

`OnstageCallback` is a callback of Lightning that runs those of onstage.
"""

from __future__ import annotations

from onstage_lightning.callback import OnstageCallback
from onstage_lightning.factory import callbacks_from_settings

__all__ = ["OnstageCallback", "callbacks_from_settings"]
__version__ = "0.1.0"
