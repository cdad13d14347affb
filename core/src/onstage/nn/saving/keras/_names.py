"""Which of onstage's classes and functions a name in Keras's configuration stands for."""

from __future__ import annotations

from inspect import Parameter, signature
from types import ModuleType

from onstage.nn import activations, initializers, layers, losses, metrics, optimizers, regularizers, schedules

MODULES: dict[str, ModuleType] = {
    "keras.activations": activations,
    "keras.initializers": initializers,
    "keras.layers": layers,
    "keras.losses": losses,
    "keras.metrics": metrics,
    "keras.optimizers": optimizers,
    "keras.optimizers.schedules": schedules,
    "keras.regularizers": regularizers,
}
"""The module of onstage for each of Keras's."""


def module_of(argument: str) -> str:
    """Return Keras's module of the objects that an argument takes; empty if it takes none."""
    if argument in ("activation", "loss", "optimizer"):
        return {"loss": "keras.losses"}.get(argument, f"keras.{argument}s")
    if argument == "learning_rate":
        return "keras.optimizers.schedules"
    kind = argument.rpartition("_")[2]
    return f"keras.{kind}s" if kind in ("initializer", "regularizer") else ""


def find_class(module: str, name: str) -> type | None:
    """Return the class of onstage with the name of Keras's, if there is one."""
    ours = MODULES.get(module)
    found = getattr(ours, name, None) if ours is not None and name in ours.__all__ else None
    return found if isinstance(found, type) else None


def is_known_function(module: str, name: str) -> bool:
    """Return whether a name alone stands for one of onstage's losses, metrics or activations."""
    if module not in ("keras.activations", "keras.losses", "keras.metrics"):
        return False
    try:
        MODULES[module].get(name)
    except (TypeError, ValueError):
        return False
    return True


def arguments_of(cls: type) -> set[str]:
    """Return the names of a constructor's arguments, those of base classes included."""
    constructors = [vars(base)["__init__"] for base in cls.__mro__ if "__init__" in vars(base)]
    return {
        name
        for constructor in constructors
        for name, argument in signature(constructor).parameters.items()
        if argument.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    }
