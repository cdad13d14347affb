"""The moving average of a module's weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from onstage.model import State
from onstage_torch.trees import own_array


class Average:
    """An exponential moving average of parameters, as Keras's optimizers keep.

    ``average = momentum * average + (1 - momentum) * weights`` after each
    step; after the first the average is the weights. Buffers are not averaged.

    Parameters
    ----------
    parameters
        What is averaged, and what `swap` and `finalize` change.
    momentum
        The part that stays at each step, in [0, 1].

    References
    ----------
    Polyak, Juditsky: *Acceleration of Stochastic Approximation by Averaging* (1992).
    """

    def __init__(self, parameters: Iterable[Tensor], momentum: float) -> None:
        self._parameters = [each.data for each in parameters if each.requires_grad]
        self.values = [each.clone() for each in self._parameters]
        self._blend = get_ema_multi_avg_fn(momentum)
        self.steps = 0

    def update(self) -> None:
        """Take in the weights after a step."""
        if self.steps:
            self._blend(self.values, self._parameters, self.steps)
        else:
            torch._foreach_copy_(self.values, self._parameters)
        self.steps += 1

    def finalize(self) -> None:
        """Make the average the weights; nothing before the first step."""
        if self.steps:
            torch._foreach_copy_(self._parameters, self.values)

    def swap(self) -> None:
        """Exchange the average and the weights; nothing before the first step."""
        if self.steps:
            weights = [each.clone() for each in self._parameters]
            torch._foreach_copy_(self._parameters, self.values)
            torch._foreach_copy_(self.values, weights)

    def state_dict(self) -> State:
        """Give the average, on its own memory."""
        return {"steps": self.steps, "values": [own_array(each) for each in self.values]}

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` gave."""
        self.steps = state["steps"]
        for value, saved in zip(self.values, state["values"], strict=True):
            value.copy_(torch.tensor(saved))
