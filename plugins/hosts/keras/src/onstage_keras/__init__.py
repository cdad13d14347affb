"""onstage's callbacks in the ``fit`` of Keras 3.

`OnstageCallback` is a callback of Keras that runs those of onstage.
"""

from __future__ import annotations

from onstage_keras.callback import OnstageCallback

__all__ = ["OnstageCallback"]
__version__ = "0.1.0"
