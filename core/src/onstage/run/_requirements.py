"""Check that the model has every attribute that the callbacks need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pluggy import HookImpl

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


def check(plugins: Iterable[object], model: Any) -> None:
    """Raise TypeError if the model lacks an attribute that a callback needs.

    The message names the callback, the attribute, and the argument of
    `onstage.ModelView` that provides it.
    """
    for plugin in plugins:
        for need in getattr(plugin, "needs", ()):
            if not hasattr(model, need):
                raise TypeError(_message(type(plugin).__name__, need, model))


def check_gradients(impls: Sequence[HookImpl], model: Any) -> None:
    """Raise TypeError if the model has no gradients for on_optimizer_step_begin."""
    if not hasattr(model, "set_gradient_callback"):
        who = type(impls[0].plugin).__name__
        lacking = "a run without a model" if model is None else type(model).__name__
        raise TypeError(
            f"{who} acts in on_optimizer_step_begin and needs the gradients, which "
            f"{lacking} does not have; train with fit, or pass TorchModel.view(module, optimizer) to the Run"
        )


def _message(who: str, need: str, model: Any) -> str:
    lacking = "a run without a model" if model is None else f"{type(model).__name__} without it"
    accessor = _ACCESSORS.get(need)
    if accessor is None:
        return f"{who} needs a model with {need}, got {lacking}"
    return (
        f"{who} needs a model with {need}, got {lacking}; "
        f"in a custom loop, pass model=onstage.ModelView({accessor}) to the Run, "
        "or for torch TorchModel.view(module, optimizer)"
    )
