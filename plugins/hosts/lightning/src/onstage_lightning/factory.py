"""The callbacks that Lightning's Trainer adds by itself, from the user's settings."""

from __future__ import annotations

from typing import Any

from onstage.hosts import settings_name_callbacks
from onstage_lightning.callback import OnstageCallback


class OnstageSettings(OnstageCallback):
    """Runs the callbacks of the settings, in a Trainer without an `OnstageCallback`."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin the run, unless another adapter does, which adds the settings' callbacks too."""
        if not any(isinstance(each, OnstageCallback) and each is not self for each in trainer.callbacks):
            super().on_train_start(trainer, pl_module)


def callbacks_from_settings() -> list[OnstageCallback]:
    """Return an adapter if the settings name callbacks; none with ``autouse = false``.

    Lightning calls it for every Trainer, by the entry points
    ``lightning.pytorch.callbacks_factory`` and ``pytorch_lightning.callbacks_factory``.
    """
    return [OnstageSettings()] if settings_name_callbacks() else []
