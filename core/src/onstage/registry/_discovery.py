"""Find installed plugins without importing them.

pluggy's own loader imports every plugin, stops at the first broken one and drops
one of two with the same name. Here listing costs no import, and a plugin that is
broken, blocked or claimed twice raises an error with its distribution when its
name is used. The other plugins are not affected.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from types import FunctionType, ModuleType
from weakref import WeakKeyDictionary

from onstage.errors import PluginError, did_you_mean
from onstage.registry import _distributions
from onstage.registry._distributions import canonicalize_name
from onstage.registry._first_party import missing_package
from onstage.registry._plugin import AUTOUSE as AUTOUSE
from onstage.registry._plugin import CALLBACKS as CALLBACKS
from onstage.registry._plugin import COMMANDS as COMMANDS
from onstage.registry._plugin import HOOKSPECS as HOOKSPECS
from onstage.registry._plugin import NOUN, loaded
from onstage.registry._plugin import Plugin as Plugin

Provenance = tuple[str | None, str | None, str | None]

_provenances: WeakKeyDictionary[type | ModuleType | FunctionType, Provenance] = WeakKeyDictionary()


def refresh() -> None:
    """Clear the caches, to find plugins installed since."""
    _scan.cache_clear()
    _installed.cache_clear()
    loaded.clear()
    _provenances.clear()


@contextmanager
def override_path(folders: Sequence[str]) -> Iterator[None]:
    """Find only the plugins in these folders, within a with block (for tests).

    Applies to the whole process. The folders are not added to ``sys.path``.
    """
    global _folders
    before, _folders = _folders, tuple(folders)
    refresh()
    try:
        yield
    finally:
        _folders = before
        refresh()


_folders: tuple[str, ...] | None = None


def _path() -> tuple[str, ...]:
    if _folders is not None:
        return _folders
    # Part of the cache key: sys.path can change, and "" means the current folder.
    return tuple(sys.path) if "" not in sys.path else (*sys.path, os.getcwd())


@lru_cache(maxsize=8)
def _scan(path: tuple[str, ...]) -> _distributions.Scan:
    return _distributions.scan(_folders)


def installed(group: str = CALLBACKS, blocked: Iterable[str] = ()) -> list[Plugin]:
    """Return the plugins of a group without importing them.

    Parameters
    ----------
    group
        The entry-point group.
    blocked
        Entry points, distributions or classes to block; compared in the
        form of `canonicalize_name`.

    Returns
    -------
    list of Plugin
        Sorted by name, then distribution. Plugins that can't be used are
        included, with their status and reason.
    """
    return list(_installed(_path(), group, frozenset(blocked)))


@lru_cache(maxsize=64)
def _installed(path: tuple[str, ...], group: str, blocked: Collection[str]) -> tuple[Plugin, ...]:
    found = _scan(path)
    plugins = [plugin for dist in found.distributions.values() for plugin in _plugins_of(dist, group)]
    plugins = _mark_duplicates([_mark_blocked(plugin, blocked) for plugin in plugins])
    for hidden, winner in found.shadowed:
        reason = (
            f"{hidden.name} {hidden.version} in {hidden.location} is hidden by version {winner.version} "
            f"in {winner.location}; delete the one that is out of date"
        )
        plugins += [
            replace(plugin, status="shadowed", reason=reason) for plugin in _plugins_of(hidden, group)
        ]
    return tuple(sorted(plugins, key=lambda plugin: (plugin.name, plugin.distribution, plugin.location)))


def _plugins_of(dist: _distributions.Distribution, group: str) -> list[Plugin]:
    return [
        _with_valid_target(Plugin(name, value, group, dist.name, dist.version, dist.location))
        for its_group, name, value in dist.entry_points
        if its_group == group
    ]


def _with_valid_target(plugin: Plugin) -> Plugin:
    module, colon, attribute = plugin.value.partition(":")
    parts = f"{module}.{attribute}".split(".") if colon else module.split(".")
    if all(part.isidentifier() for part in parts):
        return plugin
    reason = (
        f"its entry point must be 'module:attribute', got {plugin.value!r}; reinstall {plugin.distribution}"
    )
    return replace(plugin, status="broken", reason=reason)


def _mark_blocked(plugin: Plugin, blocked: Collection[str]) -> Plugin:
    if not blocked:
        return plugin
    names = {canonicalize_name(plugin.name), plugin.distribution, canonicalize_name(plugin.attribute)}
    by = sorted(name for name in blocked if canonicalize_name(name) in names)
    return replace(plugin, status="blocked", reason=f"blocked by the name {by[0]!r}") if by else plugin


def _mark_duplicates(plugins: list[Plugin]) -> list[Plugin]:
    claims: dict[str, list[Plugin]] = {}
    for plugin in plugins:
        if plugin.status != "blocked":
            claims.setdefault(plugin.name, []).append(plugin)

    def mark(plugin: Plugin) -> Plugin:
        rivals = claims.get(plugin.name, [])
        if plugin.status == "blocked" or len(rivals) < 2:
            return plugin
        claimed = " and ".join(sorted(f"{one.distribution} {one.version} ({one.value})" for one in rivals))
        reason = f"claimed by {claimed}; uninstall one, or block one by its distribution's name"
        return replace(plugin, status="duplicate", reason=reason)

    return [mark(plugin) for plugin in plugins]


def find(name: str, group: str = CALLBACKS, blocked: Iterable[str] = ()) -> Plugin:
    """Return the plugin with a name, which may be that of its class.

    Parameters
    ----------
    name
        An entry point (``"csv_logger"``) or a class (``"CSVLogger"``).
    group, blocked
        As for `installed`.

    Returns
    -------
    Plugin
        Its status may forbid its use: `Plugin.load` then raises.

    Raises
    ------
    PluginError
        If there is no such plugin, or several have a class of that name.
    """
    plugin = _find(name, group, frozenset(blocked))
    if plugin is None:
        refresh()  # it may have been installed since, for example in a notebook
        plugin = _find(name, group, frozenset(blocked))
    if plugin is None:
        noun = NOUN.get(group, "plugin")
        usable = [plugin for plugin in installed(group) if plugin.status != "shadowed"]
        known = sorted({plugin.name for plugin in usable})
        listed = ", ".join(known) or "none"
        hint = missing_package(name) or did_you_mean(name, [*known, *(plugin.attribute for plugin in usable)])
        raise PluginError(f"no {noun} is called {name!r}{hint} (installed: {listed})")
    return plugin


def _find(name: str, group: str, blocked: Collection[str]) -> Plugin | None:
    plugins = _installed(_path(), group, frozenset(blocked))
    for field in ("name", "attribute"):
        found = [one for one in plugins if getattr(one, field) == name and one.status != "shadowed"]
        allowed = [one for one in found if one.status != "blocked"] or found
        if len({one.name for one in allowed}) > 1:
            claimed = " and ".join(f"{one.name!r} of {one.distribution}" for one in allowed)
            raise PluginError(f"several plugins have a class {name!r}: {claimed}; use one of these names")
        if allowed:
            return allowed[0]
    return None


def provenance(thing: object) -> Provenance:
    """Return the origin of a class, a function, a module, or an object's class.

    Returns
    -------
    tuple
        ``(entry point, distribution, version)``. The entry point is None for a
        class without one; all are None for a class that belongs to no
        distribution, such as one of the user's own program.
    """
    kind = thing if isinstance(thing, (type, ModuleType, FunctionType)) else type(thing)
    found = _provenances.get(kind)
    if found is None:
        module = kind.__name__ if isinstance(kind, ModuleType) else kind.__module__
        found = _provenances[kind] = _provenance(kind, module)
    return found


def _provenance(target: object, module: str) -> Provenance:
    found = _scan(_path()).distributions
    top = module.partition(".")[0]
    owner = found.get("onstage-core" if top == "onstage" else canonicalize_name(top))
    for dist in found.values():
        for _, name, value in dist.entry_points:
            its_module, _, attribute = value.partition(":")
            loaded = sys.modules.get(its_module)
            if loaded is not None and target is (getattr(loaded, attribute, None) if attribute else loaded):
                return name, dist.name, dist.version
            if f"{module}.".startswith(f"{its_module}."):
                owner = dist
    return (None, owner.name, owner.version) if owner else (None, None, None)
