"""The learning rates of all groups, as one number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from onstage.validation import validate_float


class LearningRates:
    """The rates of all groups, in proportion to the first.

    Parameters
    ----------
    optimizers
        Their groups may have different rates.
    scheduler
        Scheduler that sets the rates; None if callbacks may set them.
    """

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], scheduler: Any = None) -> None:
        self._optimizers = optimizers
        self._scheduler = scheduler
        self._ratios = self._measure([1.0] * len(self._groups))

    @property
    def _groups(self) -> list[dict[str, Any]]:
        return list(chain.from_iterable(each.param_groups for each in self._optimizers))

    def _measure(self, previous: list[float]) -> list[float]:
        """Return each group's rate as a multiple of the first one's."""
        rates = [float(group["lr"]) for group in self._groups]
        if rates[0]:
            return [rate / rates[0] for rate in rates]
        # A first rate of 0 hides the proportions: the previous ones stay valid.
        return previous + [1.0] * (len(rates) - len(previous))

    @property
    def first(self) -> float:
        """Rate of the first group; setting it raises TypeError with a scheduler."""
        return float(self._optimizers[0].param_groups[0]["lr"])

    @first.setter
    def first(self, rate: float) -> None:
        if self._scheduler is not None:
            raise TypeError(
                f"learning_rate follows {type(self._scheduler).__name__} and cannot be set to {rate!r}; "
                "remove the scheduler, or the callback that sets the rate"
            )
        number = validate_float("learning_rate", float(rate), 0)
        self._ratios = self._measure(self._ratios)
        for group, ratio in zip(self._groups, self._ratios, strict=True):
            # A tensor is read by a captured graph, so the object must stay.
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(number * ratio)
            else:
                group["lr"] = number * ratio
