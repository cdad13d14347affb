"""onstage's callbacks in the training of CatBoost.

`OnstageCallback` is a callback of CatBoost that runs those of onstage.
"""

from __future__ import annotations

from onstage_catboost.callback import OnstageCallback

__all__ = ["OnstageCallback"]
__version__ = "0.1.0"
