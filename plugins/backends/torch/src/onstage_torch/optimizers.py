"""The optimizers and schedulers of a model: usually one, several by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch

from onstage.errors import StateError
from onstage.model import State
from onstage_torch import callback_optimizer, state_encoding
from onstage_torch.learning_rate import LearningRates
from onstage_torch.state import check_optimizer

Optimizers: TypeAlias = (
    torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | Mapping[str, torch.optim.Optimizer]
)
"""One optimizer, or several: their names are a dict's keys, or ``"0"``, ``"1"``, … in a list."""


class NamedOptimizers:
    """Optimizers and schedulers by name, with the rates and states of all.

    Parameters
    ----------
    optimizers
        See `Optimizers`; None for none.
    schedulers
        Torch schedulers of these optimizers, one or several in the same way.

    Attributes
    ----------
    optimizers, schedulers
        By name; a single one has the name ``"optimizer"`` or ``"scheduler"``.
    rates
        The rates of all groups together, in proportion; None without optimizers.

    Raises
    ------
    TypeError, ValueError
        If one is not an optimizer or a scheduler, or a scheduler belongs to
        another optimizer.
    """

    def __init__(self, optimizers: Optimizers | None, schedulers: Any = None) -> None:
        named = _by_name("optimizer", optimizers)
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            name: _unwrap(each) for name, each in named.items()
        }
        self.schedulers: dict[str, Any] = _by_name("scheduler", schedulers)
        for each in self.optimizers.values():
            if not isinstance(each, torch.optim.Optimizer):
                raise TypeError(
                    "optimizer must be a torch optimizer, or a list or dict of them, "
                    f"got {type(each).__name__}; make it of the module's parameters"
                )
        for each in self.schedulers.values():
            self._check_scheduler(each)
        for each in self.optimizers.values():
            own = [s for s in self.schedulers.values() if _unwrap(getattr(s, "optimizer", each)) is each]
            callback_optimizer.extend(each, LearningRates([each], own[0] if own else None))
        self.rates: LearningRates | None = None
        if self.optimizers:
            first = next(iter(self.schedulers.values()), None)
            self.rates = LearningRates(list(self.optimizers.values()), first)

    def _check_scheduler(self, scheduler: Any) -> None:
        if not hasattr(scheduler, "step") or not hasattr(scheduler, "state_dict"):
            raise TypeError(
                f"scheduler must be a torch scheduler, or a list or dict of them, got {scheduler!r}"
            )
        owner = _unwrap(getattr(scheduler, "optimizer", None))
        if owner is not None and all(owner is not each for each in self.optimizers.values()):
            raise ValueError("scheduler must belong to an optimizer of the model, got one of another")

    def state_dict(self) -> State:
        """Return the states of all, on the tensors' own memory."""
        return {
            "optimizer": _states("optimizer", self.optimizers),
            "scheduler": _states("scheduler", self.schedulers),
            "iterations": [callback_optimizer.steps_of(each) for each in self.optimizers.values()],
        }

    def check_state(self, state: State) -> None:
        """Raise StateError if `load_state_dict` would fail."""
        for kind, own in (("optimizer", self.optimizers), ("scheduler", self.schedulers)):
            saved = _saved(kind, state, own)
            if (saved is None) != (not own):
                was, now = ("without", "with") if saved is None else ("with", "without")
                raise StateError(
                    f"the state was saved {was} a {kind}, this model is {now}; make the model the same"
                )
            if saved is not None and (not isinstance(saved, dict) or set(saved) != set(own)):
                names = sorted(saved) if isinstance(saved, dict) else saved
                raise StateError(f"the state must have {kind}s named {sorted(own)}, got {names}")
        for name, each in self.optimizers.items():
            check_optimizer(_saved("optimizer", state, self.optimizers)[name], each)

    def load_state_dict(self, state: State) -> None:
        """Restore a result of `state_dict`."""
        for kind, own in (("optimizer", self.optimizers), ("scheduler", self.schedulers)):
            saved = _saved(kind, state, own)
            for name, part in own.items():
                part.load_state_dict(saved[name])
        for each, steps in zip(self.optimizers.values(), state.get("iterations", ()), strict=False):
            callback_optimizer.set_steps(each, steps)


def _by_name(kind: str, given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return {str(name): each for name, each in given.items()}
    if isinstance(given, list | tuple):
        return {str(number): each for number, each in enumerate(given)}
    return {kind: given}


def _unwrap(optimizer: Any) -> Any:
    """Return the optimizer inside a wrapper, such as that of Accelerate, which has no hooks."""
    inner = getattr(optimizer, "optimizer", None)
    return _unwrap(inner) if isinstance(inner, torch.optim.Optimizer) else optimizer


def _states(kind: str, parts: Mapping[str, Any]) -> Any:
    """Return the states by name; of a single part its state alone, of none None."""
    if not parts:
        return None
    states = {name: state_encoding.encode(part.state_dict(), name) for name, part in parts.items()}
    return states[kind] if set(states) == {kind} else states


def _saved(kind: str, state: State, own: Mapping[str, Any]) -> Any:
    """Return saved states by name, decoded; None if there are none."""
    saved = state_encoding.decode(state[kind])
    return {kind: saved} if saved is not None and set(own) <= {kind} else saved
