"""From what a user writes in ``callbacks=`` to the objects of a run."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import cast

from onstage.errors import OnstageWarning, PluginError, SettingsError, did_you_mean
from onstage.registry import _config, _discovery
from onstage.registry._config import Options, Policy, Settings
from onstage.registry._discovery import AUTOUSE, CALLBACKS, COMMANDS
from onstage.registry._distributions import canonicalize_name
from onstage.registry._factory import callback as callback
from onstage.registry._factory import create_callback, load_factory


def resolve(callbacks: object = None, settings: Settings | None = None) -> list[object]:
    """Turn what a user wrote into callbacks, and add those of the settings.

    Parameters
    ----------
    callbacks
        An object, a name, ``{name: {option: value}}``, None, or lists of
        these, nested at will.
    settings
        None reads them.

    Returns
    -------
    list
        Those given, in order; then those of pyproject.toml and
        ``ONSTAGE_CALLBACKS`` whose class isn't there yet.

    Raises
    ------
    TypeError
        A class or a function stands where an object belongs, or an option
        doesn't exist.
    PluginError, SettingsError
        As in `callback` and `_config.settings`.
    """
    settings = _config.settings() if settings is None else settings
    refuse_unknown_names(settings)
    chosen: list[object] = []
    names = set()
    for given in _flat(callbacks):
        if isinstance(given, tuple):
            name, options = given
            names.add(name)
            if not _left_out(name, settings):
                chosen.append(create_callback(name, options, settings))
        elif not _left_out(given, settings):
            chosen.append(given)
    for name, options in settings.callbacks:
        if name not in names and not _is_blocked(name, settings) and not _present(name, chosen, settings):
            names.add(name)
            noted = settings.sources.get("callbacks", "")
            chosen.append(create_callback(name, deepcopy(dict(options)), settings, noted))
    return chosen


def autouse(settings: Settings | None = None) -> list[object]:
    """Give the plugins that are active in every run, sorted by name.

    A class is made anew for each run; an object or module is shared by all.
    One that is broken is left out with an `OnstageWarning`: nobody asked for
    it by name, so it must not take a training down.
    """
    settings = _config.settings() if settings is None else settings
    found = _discovery.installed(AUTOUSE, settings.disable) if settings.autouse else []
    active = []
    for plugin in found:
        if plugin.status in ("blocked", "shadowed"):
            continue
        try:
            target = plugin.load()
            active.append(target() if isinstance(target, type) else target)
        except (Exception, SystemExit) as error:
            reason = error if isinstance(error, PluginError) else f"{plugin.label}: {error!r}"
            warnings.warn(f"{reason}; the run goes on without it", OnstageWarning, stacklevel=2)
    return active


def error_policy(callback: object, settings: Settings | None = None) -> Policy:
    """Say what an error in a callback does: ``"raise"`` or ``"disable"``.

    The object's own attribute ``on_error`` where it was set on the object,
    then the settings' ``on_error``, then that of its class, then ``"raise"``.
    """
    settings = _config.settings() if settings is None else settings
    if settings.on_error and "on_error" not in getattr(callback, "__dict__", {}):
        names = setting_names(callback)
        for name, policy in settings.on_error.items():
            if canonicalize_name(name) in names:
                return policy
    return cast(Policy, getattr(callback, "on_error", "raise"))


def refuse_unknown_names(settings: Settings) -> None:
    """Refuse a name in the settings that all but is one that is installed.

    What resembles none is taken for a plugin that isn't installed here: one
    pyproject.toml serves several machines. ``onstage doctor`` lists those.

    Raises
    ------
    SettingsError
        The message has the setting and the closest name.
    """
    for setting, name in unknown_names(settings):
        hint = did_you_mean(name, _installed_names(setting == "disable"))
        if hint:
            where = settings.sources.get(setting, setting)
            raise SettingsError(f"{where}: {setting} names {name!r}, which is not installed{hint}")


def unknown_names(settings: Settings) -> list[tuple[str, str]]:
    """List ``(setting, name)`` where no installed plugin has the name."""
    named = {"disable": settings.disable, "options": settings.options, "on_error": settings.on_error}
    if not any(named.values()):
        return []
    return [
        (setting, name)
        for setting, names in named.items()
        for name in names
        if canonicalize_name(name) not in map(canonicalize_name, _installed_names(setting == "disable"))
    ]


def _installed_names(for_disable: bool) -> list[str]:
    groups = (CALLBACKS, AUTOUSE, COMMANDS) if for_disable else (CALLBACKS, AUTOUSE)
    plugins = [plugin for group in groups for plugin in _discovery.installed(group)]
    names = [name for plugin in plugins for name in (plugin.name, plugin.attribute) if name]
    return [*names, *(plugin.distribution for plugin in plugins)] if for_disable else names


def _flat(given: object) -> Iterator[object]:
    """Yield objects, and ``(name, options)`` for what is made by name."""
    if given is None:
        return
    if isinstance(given, str):
        yield given, {}
    elif isinstance(given, Mapping):
        yield from map(_named, given.items())
    elif isinstance(given, (list, tuple)):
        for item in given:
            yield from _flat(item)
    elif isinstance(given, type):
        raise TypeError(
            f"a callback must be an object, got the class {given.__name__}; write {given.__name__}()"
        )
    elif isinstance(given, (FunctionType, MethodType, BuiltinFunctionType)):
        raise TypeError(
            f"a callback must be an object with stage methods, got the function {given.__name__}; "
            f"write LambdaCallback(on_epoch_end={given.__name__})"
        )
    else:
        yield given


def _named(item: tuple[object, object]) -> tuple[str, Options]:
    name, options = item
    options = {} if options is None else options
    if not isinstance(name, str) or not isinstance(options, Mapping):
        raise TypeError(
            f"a callback with options must be {{name: {{option: value}}}}, got {{{name!r}: {options!r}}}"
        )
    return name, options


def setting_names(callback: object) -> set[str]:
    """Give the names by which the settings may mean an object, normalised.

    Its entry point, its distribution and its class.
    """
    entry_point, distribution, _ = _discovery.provenance(callback)
    return {canonicalize_name(name) for name in (entry_point, distribution, type(callback).__name__) if name}


def _is_blocked(given: object, settings: Settings) -> bool:
    if not settings.disable:
        return False
    if not isinstance(given, str):
        return not setting_names(given).isdisjoint(map(canonicalize_name, settings.disable))
    if ":" in given:
        return canonicalize_name(given.partition(":")[2]) in map(canonicalize_name, settings.disable)
    return _discovery.find(given, blocked=settings.disable).status == "blocked"


def _left_out(given: object, settings: Settings) -> bool:
    """Whether what code asks for is blocked; if so, warn."""
    if not _is_blocked(given, settings):
        return False
    label = given if isinstance(given, str) else type(given).__name__
    where = settings.sources.get("disable", "disable")
    warnings.warn(f"the callback {label} is left out: blocked by {where}", OnstageWarning, stacklevel=4)
    return True


def _present(name: str, chosen: Iterable[object], settings: Settings) -> bool:
    """Whether the class of a name has an object among those chosen."""
    target = load_factory(name, settings)
    return isinstance(target, type) and any(isinstance(one, target) for one in chosen)
