"""Keras's callbacks: the base class, every built-in one, and `CallbackList`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from onstage import callbacks as _installed
from onstage.callbacks._base import Callback as Callback
from onstage.callbacks._history import History as History
from onstage.errors import missing_name
from onstage.logs import Logs

if TYPE_CHECKING:
    from onstage.keras._callback_list import CallbackList as CallbackList


class BaseLogger(Callback):
    """Base class of Keras 2's loggers, which does nothing itself.

    Keras 2 averaged the batch logs here. The batch logs of onstage are means
    already, as in Keras 3, which has no such class.
    """

    adds_logs = ()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Do nothing; for ``super().on_epoch_begin(epoch, logs)``."""


_OWN = ("BaseLogger", "Callback", "CallbackList", "History")


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return __dir__()
    if name == "CallbackList":  # imported late: a callback's module needs no run
        from onstage.keras._callback_list import CallbackList

        return CallbackList
    try:
        return getattr(_installed, name)
    except AttributeError as error:
        remedy = "; ModelCheckpoint(save_in_background=True, max_to_keep=…) keeps the latest checkpoints"
        hint = remedy if name == "OrbaxCheckpoint" else ""
        raise missing_name(sys._getframe(1), __name__, f"{error}{hint}") from None


def __dir__() -> list[str]:
    return sorted({*_OWN, *dir(_installed)})
