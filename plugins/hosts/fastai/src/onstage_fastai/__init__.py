"""onstage's callbacks in the Learner of fastai.

`OnstageCallback` is a callback of fastai that runs those of onstage.
"""

from __future__ import annotations

from onstage_fastai.callback import OnstageCallback

__all__ = ["OnstageCallback"]
__version__ = "0.1.0"
