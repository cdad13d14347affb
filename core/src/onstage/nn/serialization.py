"""Names to classes: what ``get("he_normal")`` and a saved configuration ask."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

from onstage.errors import did_you_mean


class Configurable(Protocol):
    """Something that can be made again from what ``get_config()`` gives."""

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments, as plain values."""
        ...


T = TypeVar("T")


def snake_case(name: str) -> str:
    """Spell a class name as Keras spells its string: ``AdamW`` is ``adam_w``."""
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def by_name(classes: Iterable[type[T]], **aliases: type[T]) -> dict[str, type[T]]:
    """Tabulate classes under their name, that name in snake case, and aliases."""
    table: dict[str, type[T]] = {}
    for each in classes:
        table[each.__name__] = each
        table[snake_case(each.__name__)] = each
    return table | aliases


def make(kind: str, identifier: object, table: Mapping[str, type[T]]) -> T:
    """Make an object from a name, a configuration or a class.

    Parameters
    ----------
    kind
        What is wanted, for the messages: ``"optimizer"``.
    identifier
        A name in the table, ``{"class_name": name, "config": arguments}`` as
        `serialize` writes it, or a class of the table.
    table
        Name to class. Nothing outside it is ever made: a configuration read
        from a file cannot name code to import.

    Raises
    ------
    ValueError
        The name is not in the table, or a configuration lacks its parts.
    TypeError
        The identifier is none of the three, or the arguments do not fit.
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
    """Find a name in a table; raises ValueError with a did-you-mean."""
    if name not in table:
        known = sorted(each for each in table if each == each.lower())
        raise ValueError(f"{kind} must be one of {', '.join(known)}, got {name!r}{did_you_mean(name, table)}")
    return table[name]


def serialize(instance: Configurable) -> dict[str, Any]:
    """Write an object as the configuration that `make` takes."""
    return {"class_name": type(instance).__name__, "config": instance.get_config()}
