"""onstage's callbacks in the training of LightGBM.

`OnstageCallback` is a pair of callbacks of LightGBM that run those of onstage.
"""

from __future__ import annotations

from onstage_lightgbm.callback import OnstageCallback

__all__ = ["OnstageCallback"]
__version__ = "0.1.0"
