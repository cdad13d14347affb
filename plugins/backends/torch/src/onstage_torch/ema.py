"""The moving average of a module's weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from onstage.errors import StateError
from onstage.model import State
from onstage_torch.files import plain_names
from onstage_torch.pytree import array_view


class MovingAverage:
    """Exponential moving average of parameters, as in Keras's optimizers.

    ``average = momentum * average + (1 - momentum) * weights`` after each
    step; after a parameter's first step its average is the parameter, also if
    it was unfrozen or added later. Buffers are not averaged.

    Parameters
    ----------
    module
        Its parameters that the optimizer changes are averaged; `swap` and
        `finalize` write to them.
    optimizer
        Its groups, read at each step, are the parameters that it changes.
    momentum
        Fraction of the average that is kept at each step, in [0, 1].

    References
    ----------
    Polyak, Juditsky: *Acceleration of Stochastic Approximation by Averaging* (1992).
    """

    def __init__(self, module: nn.Module, optimizer: torch.optim.Optimizer | None, momentum: float) -> None:
        self._module = module
        self._optimizer = optimizer
        self._blend = get_ema_multi_avg_fn(momentum)
        self._changed: list[int] = []
        self._parameters: list[Tensor] = []
        self.values: list[Tensor] = []

    @torch.no_grad()
    def update(self) -> None:
        """Blend in the weights after a step."""
        known = len(self.values)
        assert self._optimizer is not None
        changed = [
            id(each)
            for group in self._optimizer.param_groups
            for each in group["params"]
            if each.requires_grad
        ]
        if changed != self._changed:
            self._changed = changed
            self._add_new(set(changed))
        if known:
            self._blend(self.values[:known], self._parameters[:known], None)

    def _add_new(self, changed: set[int]) -> None:
        """Add the parameters that are changed for the first time."""
        known = {id(each) for each in self._parameters}
        new = [each for each in self._module.parameters() if id(each) in changed - known]
        self._parameters += new
        self.values += [each.detach().clone() for each in new]

    @torch.no_grad()
    def finalize(self) -> None:
        """Copy the average to the weights; do nothing before the first step."""
        if self.values:
            torch._foreach_copy_(self._parameters, self.values)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the average and the weights; do nothing before the first step."""
        if self.values:
            weights = [each.clone() for each in self._parameters]
            torch._foreach_copy_(self._parameters, self.values)
            torch._foreach_copy_(self.values, weights)

    def state_dict(self) -> State:
        """Return the average by parameter name, in the module's order, on its own memory."""
        averages = {id(each): value for each, value in zip(self._parameters, self.values, strict=True)}
        named = self._module.named_parameters()
        return {name: array_view(averages[id(each)]) for name, each in named if id(each) in averages}

    def check_state(self, state: State) -> None:
        """Raise StateError if `load_state_dict` would fail."""
        own = plain_names(dict(self._module.named_parameters()))
        for name, value in plain_names(state).items():
            if name not in own or tuple(own[name].shape) != value.shape:
                raise StateError(
                    f"the average of {name} must be of a parameter of the module, got shape {value.shape}"
                )

    def load_state_dict(self, state: State) -> None:
        """Restore a result of `state_dict`."""
        own, state = plain_names(dict(self._module.named_parameters())), plain_names(state)
        self._changed = []
        self._parameters = [own[name] for name in state]
        self.values = [
            torch.tensor(value).to(own[name].device, own[name].dtype) for name, value in state.items()
        ]
