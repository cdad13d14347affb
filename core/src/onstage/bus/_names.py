"""List plugins and name them."""

from __future__ import annotations

import types
from collections.abc import Iterable


def class_name(plugin: object) -> str:
    """Return the name of a plugin's class, or of a module."""
    return plugin.__name__ if isinstance(plugin, types.ModuleType) else type(plugin).__name__


def listed(plugins: object) -> list[object]:
    """Return the plugins as a list; raise unless it is an iterable of objects, each there once."""
    if isinstance(plugins, str) or not isinstance(plugins, Iterable):
        one = f"onstage.callback({plugins!r})" if isinstance(plugins, str) else repr(plugins)
        raise TypeError(f"plugins must be a list of callbacks, got {plugins!r}; write Bus([{one}])")
    found = list(plugins)
    for n, plugin in enumerate(found):
        if any(plugin is earlier for earlier in found[:n]):
            raise ValueError(f"callbacks must hold each object once, got {plugin!r} twice")
    return found


def unique_names(plugins: Iterable[object]) -> list[tuple[str, object]]:
    """Name plugins in list order, independent of the order of registration."""
    seen: dict[str, int] = {}
    named = []
    for plugin in plugins:
        base = class_name(plugin)
        seen[base] = number = seen.get(base, 0) + 1
        named.append((base if number == 1 else f"{base}-{number}", plugin))
    return named
