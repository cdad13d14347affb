"""What all processes do together can't be asked of the first one alone."""

from __future__ import annotations

import sys
from types import FrameType


def check_called_by_all(method: str) -> None:
    """Raise RuntimeError inside a stage of a callback that runs in the first process only.

    The other processes, which have no such callback, would never make the call,
    and this one would wait for them.

    Parameters
    ----------
    method
        Name of the method that all processes must call.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        names = frame.f_code.co_varnames
        if frame.f_code.co_name.startswith("on_") and names:
            owner = frame.f_locals.get(names[0])
            if getattr(owner, "ranks", "all") == "zero":
                raise RuntimeError(
                    f"{method} must be called by all processes, got a call in {type(owner).__name__}."
                    f"{frame.f_code.co_name}, which runs in the first process only: it would wait for the "
                    "others for ever; set ranks = 'all' on the callback, or pass validation_data to fit"
                )
        frame = frame.f_back
