"""The learning rates of an optimizer's groups, as one number."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


class Rates:
    """The rates of all groups, in proportion to the first.

    Parameters
    ----------
    optimizer
        Its groups may have different rates.
    scheduler
        What sets them; None where callbacks may.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, scheduler: Any = None) -> None:
        self._optimizer = optimizer
        self._scheduler = scheduler
        self._shares = self._measured([1.0] * len(optimizer.param_groups))

    def _measured(self, otherwise: list[float]) -> list[float]:
        rates = [float(group["lr"]) for group in self._optimizer.param_groups]
        if rates[0]:
            return [rate / rates[0] for rate in rates]
        # At a rate of 0 the proportions can't be seen: those from before hold.
        return otherwise + [1.0] * (len(rates) - len(otherwise))

    @property
    def first(self) -> float:
        """The first group's rate; setting it raises TypeError under a scheduler."""
        return float(self._optimizer.param_groups[0]["lr"])

    @first.setter
    def first(self, rate: float) -> None:
        if self._scheduler is not None:
            raise TypeError(
                f"learning_rate follows {type(self._scheduler).__name__} and cannot be set to {rate!r}; "
                "leave out the scheduler, or what sets the rate"
            )
        number = float(rate)
        if not (math.isfinite(number) and number >= 0):
            raise ValueError(f"learning_rate must be a number >= 0, got {rate!r}")
        self._shares = self._measured(self._shares)
        for group, share in zip(self._optimizer.param_groups, self._shares, strict=True):
            # Of a tensor, which a captured graph reads, the object must stay.
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(number * share)
            else:
                group["lr"] = number * share
