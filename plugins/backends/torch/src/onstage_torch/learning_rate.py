"""The learning rates of an optimizer's groups, as one number."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from onstage.validation import validate_float


class LearningRates:
    """The rates of all groups, in proportion to the first.

    Parameters
    ----------
    optimizer
        Its groups may have different rates.
    scheduler
        Scheduler that sets the rates; None if callbacks may set them.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, scheduler: Any = None) -> None:
        self._optimizer = optimizer
        self._scheduler = scheduler
        self._ratios = self._measure([1.0] * len(optimizer.param_groups))

    def _measure(self, previous: list[float]) -> list[float]:
        """Return each group's rate as a multiple of the first one's."""
        rates = [float(group["lr"]) for group in self._optimizer.param_groups]
        if rates[0]:
            return [rate / rates[0] for rate in rates]
        # A first rate of 0 hides the proportions: the previous ones stay valid.
        return previous + [1.0] * (len(rates) - len(previous))

    @property
    def first(self) -> float:
        """Rate of the first group; setting it raises TypeError with a scheduler."""
        return float(self._optimizer.param_groups[0]["lr"])

    @first.setter
    def first(self, rate: float) -> None:
        if self._scheduler is not None:
            raise TypeError(
                f"learning_rate follows {type(self._scheduler).__name__} and cannot be set to {rate!r}; "
                "remove the scheduler, or the callback that sets the rate"
            )
        number = validate_float("learning_rate", float(rate), 0)
        self._ratios = self._measure(self._ratios)
        for group, ratio in zip(self._optimizer.param_groups, self._ratios, strict=True):
            # A tensor is read by a captured graph, so the object must stay.
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(number * ratio)
            else:
                group["lr"] = number * ratio
