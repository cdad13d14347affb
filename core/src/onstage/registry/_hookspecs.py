"""Stages that installed packages bring: the entry-point group ``onstage.hookspecs``.

The name of each entry point is that of a stage, its target the class or module
with the specification. So the stages are known without an import; a package is
imported when a callback acts in its stage, or when the stage is fired.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from onstage.registry import _discovery
from onstage.registry._config import settings
from onstage.registry._plugin import HOOKSPECS, Plugin, specifies


def installed_stages() -> dict[str, Plugin]:
    """Return the stages that installed packages bring, sorted by name; imports none."""
    found = _discovery.installed(HOOKSPECS, settings().disable)
    return {plugin.name: plugin for plugin in found if plugin.status not in ("blocked", "shadowed")}


def load_stage(name: str) -> Any:
    """Import and return the class or module that specifies a stage; None if no package brings it.

    Raises
    ------
    PluginError
        If the package is broken, or doesn't specify the stage that it names.
    """
    for specification in _offered:
        if specifies(specification, name):
            return specification
    plugin = installed_stages().get(name)
    return None if plugin is None else plugin.load()


@contextmanager
def offer(specification: Any) -> Iterator[None]:
    """Treat a class or module as one that a package brings, within a with block (for tests).

    Applies to the whole process.
    """
    _offered.append(specification)
    try:
        yield
    finally:
        _offered.remove(specification)


_offered: list[Any] = []
