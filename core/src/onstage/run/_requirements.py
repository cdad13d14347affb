"""What a callback asks of a model, and a run without it: refused before it starts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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
"""Attribute of a model to the argument of `onstage.ModelView` that gives it."""


def check(plugins: Iterable[object], model: Any) -> None:
    """Refuse a model that lacks what a callback lists in ``needs``.

    Raises
    ------
    TypeError
        Names the callback, what is missing, and the accessor that gives it.
    """
    for plugin in plugins:
        for need in getattr(plugin, "needs", ()):
            if not hasattr(model, need):
                raise TypeError(_message(type(plugin).__name__, need, model))


def _message(who: str, need: str, model: Any) -> str:
    lacking = "a run without a model" if model is None else f"{type(model).__name__} without it"
    accessor = _ACCESSORS.get(need)
    if accessor is None:
        return f"{who} needs a model with {need}, got {lacking}"
    return (
        f"{who} needs a model with {need}, got {lacking}; "
        f"in a loop of your own pass model=onstage.ModelView({accessor}) to the Run, "
        "or for torch TorchModel.view(module, optimizer)"
    )
