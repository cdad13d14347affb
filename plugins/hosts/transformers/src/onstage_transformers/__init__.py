"""onstage's callbacks in the Trainer of transformers, and the other way round.

`OnstageCallback` is a callback of the Trainer that runs those of onstage;
`as_callback` makes one of onstage from a callback of the Trainer.
"""

from __future__ import annotations

from onstage_transformers.callback import OnstageCallback
from onstage_transformers.wrapped import WrappedCallback, as_callback

__all__ = ["OnstageCallback", "WrappedCallback", "as_callback"]
__version__ = "0.1.0"
