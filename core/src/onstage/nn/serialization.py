"""Objects to and from names and configurations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

from onstage.errors import did_you_mean


class Configurable(Protocol):
    """An object that can be rebuilt from the result of ``get_config()``."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values."""
        ...


T = TypeVar("T")


def snake_case(name: str) -> str:
    """Convert a class name to snake case as Keras does: ``AdamW`` is ``adam_w``."""
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def by_name(classes: Iterable[type[T]], **aliases: type[T]) -> dict[str, type[T]]:
    """Map class names, also in snake case, and aliases to the classes."""
    table: dict[str, type[T]] = {}
    for each in classes:
        table[each.__name__] = each
        table[snake_case(each.__name__)] = each
    return table | aliases


def deserialize(kind: str, identifier: object, table: Mapping[str, type[T]]) -> T:
    """Return an object made from a name, a configuration or a class.

    Parameters
    ----------
    kind
        Kind of the object, for error messages: ``"optimizer"``.
    identifier
        Name in the table, ``{"class_name": name, "config": arguments}`` as
        returned by `serialize`, or class in the table.
    table
        Names and classes. Only these are ever instantiated: a configuration
        read from a file cannot import code.

    Raises
    ------
    ValueError
        If the name is not in the table, or a configuration is incomplete.
    TypeError
        If the identifier has another type, or the arguments do not fit.
    """
    if isinstance(identifier, type):
        found = next((each for each in table.values() if each is identifier), None)
        if found is not None:
            return found()
    if isinstance(identifier, Mapping):
        if set(identifier) != {"class_name", "config"}:
            raise ValueError(
                f"{kind} configuration must have the keys 'class_name' and 'config', got {sorted(identifier)}"
            )
        return look_up(kind, identifier["class_name"], table)(**identifier["config"])
    if isinstance(identifier, str):
        return look_up(kind, identifier, table)()
    raise TypeError(f"{kind} must be a name, a configuration or an instance, got {identifier!r}")


def look_up(kind: str, name: str, table: Mapping[str, T]) -> T:
    """Return the entry of a name; raise ValueError with a suggestion if unknown."""
    if name not in table:
        known = sorted(each for each in table if each == each.lower())
        raise ValueError(f"{kind} must be one of {', '.join(known)}, got {name!r}{did_you_mean(name, table)}")
    return table[name]


def serialize(instance: Configurable) -> dict[str, Any]:
    """Return the configuration from which `deserialize` rebuilds an object."""
    return {"class_name": type(instance).__name__, "config": instance.get_config()}
