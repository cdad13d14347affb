"""Check that the model, or the host of the run, has everything that the callbacks need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pluggy import HookImpl

from onstage.bus._manager import Bus
from onstage.registry._factory import source_of

BATCHES = "batches"
"""The need of a callback that acts in training batches; a host may have none."""

_ACCESSORS = {
    "get_weights": "get_weights=…",
    "set_weights": "set_weights=…",
    "learning_rate": "get_learning_rate=…, set_learning_rate=…",
    "state_dict": "get_state=…",
    "load_state_dict": "set_state=…",
    "save": "get_state=…",
    "save_weights": "get_weights=…",
    "snapshot": "get_state=…",
}
"""Attribute of a model to the argument of `onstage.ModelView` that provides it."""


def check(bus: Bus, model: Any) -> None:
    """Raise TypeError if the model or its host lacks something that a callback needs.

    The message names the callback, the need, and what to do: the argument of
    `onstage.ModelView` that provides it, or the host's own way.
    """
    lacks = _lacks(model)
    in_batches = _acting_in_batches(bus) if BATCHES in lacks else set()
    for _, plugin in bus.plugins():
        for need in _needs(plugin, in_batches):
            if need in lacks or not (need == BATCHES or hasattr(model, need)):
                raise TypeError(_message(_who(plugin), need, model))


def _lacks(model: Any) -> Mapping[str, str]:
    lacks: Mapping[str, str] = getattr(model, "lacks", {}) if hasattr(model, "host") else {}
    return lacks


def _acting_in_batches(bus: Bus) -> set[int]:
    """Return the ids of the plugins with a stage of training batches."""
    stages = ("on_train_batch_begin", "on_train_batch_end")
    return {id(impl.plugin) for stage in stages for impl in bus.implementations(stage)}


def _needs(plugin: object, in_batches: set[int]) -> Iterator[str]:
    yield from getattr(plugin, "needs", ())
    if id(plugin) in in_batches and BATCHES not in getattr(plugin, "optional", ()):
        yield BATCHES


def check_gradients(impls: Sequence[HookImpl], model: Any) -> None:
    """Raise TypeError if the model has no gradients for on_optimizer_step_begin."""
    need, who = "set_gradient_callback", _who(impls[0].plugin)
    if need in (lacks := _lacks(model)):
        raise TypeError(
            f"{who} acts in on_optimizer_step_begin, which {model.host} does not have; {lacks[need]}"
        )
    if not hasattr(model, need):
        lacking = "a run without a model" if model is None else type(model).__name__
        raise TypeError(
            f"{who} acts in on_optimizer_step_begin and needs the gradients, which "
            f"{lacking} does not have; train with fit, or pass TorchModel.view(module, optimizer) to the Run"
        )


def _who(plugin: object) -> str:
    source = source_of(plugin)
    return type(plugin).__name__ + (f" (added by {source})" if source else "")


def _message(who: str, need: str, model: Any) -> str:
    if hasattr(model, "host"):
        remedy = _lacks(model).get(need, "leave the callback out")
        return f"{who} needs {need}, which {model.host} does not offer to callbacks; {remedy}"
    lacking = "a run without a model" if model is None else f"{type(model).__name__} without it"
    accessor = _ACCESSORS.get(need)
    if accessor is None:
        return f"{who} needs a model with {need}, got {lacking}"
    return (
        f"{who} needs a model with {need}, got {lacking}; "
        f"in a custom loop, pass model=onstage.ModelView({accessor}) to the Run, "
        "or for torch TorchModel.view(module, optimizer)"
    )
