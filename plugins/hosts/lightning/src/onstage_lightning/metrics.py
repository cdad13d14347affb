"""The metrics that a module logs, split into those of a step, an epoch and a validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from onstage.hosts import split_metrics
from onstage.logs import Logs

Origin = Literal["step", "epoch", "validation"]


class LoggedMetrics:
    """Tells where the metrics of ``trainer.callback_metrics`` come from.

    Lightning keeps all values in one dict and never removes one: after the
    first epoch it holds those of the last validation at every step. The origin of
    a metric is the event at which it first appeared.
    """

    def __init__(self) -> None:
        self._origins: dict[str, Origin] = {}

    def at(self, event: Origin, metrics: Mapping[str, Any]) -> Logs:
        """Return the metrics of an event under the names of onstage, the validation's without ``val_``."""
        for name in metrics:
            self._origins.setdefault(name, event)
        own = {
            name: value
            for name, value in metrics.items()
            if not _is_copy(name, metrics) and self._is_from(event, name, metrics)
        }
        train, test = split_metrics(own, validation=own if event == "validation" else ())
        return test if event == "validation" else train

    def _is_from(self, event: Origin, name: str, metrics: Mapping[str, Any]) -> bool:
        # Lightning has averaged such a metric of the steps over the epoch.
        averaged = event == "epoch" and self._origins[name] == "step" and f"{name}_epoch" in metrics
        return averaged or self._origins[name] == event


def _is_copy(name: str, metrics: Mapping[str, Any]) -> bool:
    """Return whether it is one of the names that Lightning adds, ``loss_step`` or ``loss_epoch``."""
    base = name.removesuffix("_epoch").removesuffix("_step")
    return base != name and base in metrics
