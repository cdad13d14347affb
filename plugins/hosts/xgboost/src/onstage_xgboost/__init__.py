"""onstage's callbacks in the training of XGBoost, and XGBoost's in onstage.

`OnstageCallback` is a callback of XGBoost that runs those of onstage;
`as_callback` is a callback of onstage that runs one of XGBoost.
"""

from __future__ import annotations

from onstage_xgboost.callback import OnstageCallback
from onstage_xgboost.wrapper import as_callback

__all__ = ["OnstageCallback", "as_callback"]
__version__ = "0.1.0"
