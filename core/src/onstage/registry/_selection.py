"""Turn the ``callbacks`` argument and the settings into the callbacks of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import cast

from onstage.errors import PluginError, SettingsError, did_you_mean, show_error, warn
from onstage.registry import _config, _discovery
from onstage.registry._config import Options, Policy, Settings
from onstage.registry._discovery import AUTOUSE, CALLBACKS, COMMANDS
from onstage.registry._distributions import canonicalize_name
from onstage.registry._factory import create_callback, load_factory


def resolve(callbacks: object = None, settings: Settings | None = None) -> list[object]:
    """Return the callbacks of a run: those given, then those of the settings.

    Parameters
    ----------
    callbacks
        An object, a name, ``{name: {option: value}}``, None, or (nested) lists
        of these.
    settings
        None reads them.

    Returns
    -------
    list
        The callbacks given, in order; then those of pyproject.toml and
        ``ONSTAGE_CALLBACKS`` whose class is not among them.

    Raises
    ------
    TypeError
        If a class or a function is given in place of an object, or an option
        does not exist.
    PluginError, SettingsError
        As in `_factory.callback` and `_config.settings`.
    """
    settings = _config.settings() if settings is None else settings
    refuse_misspelled_names(settings)
    chosen: list[object] = []
    names = set()
    for given in _flatten(callbacks):
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
            source = settings.sources.get("callbacks", "")
            chosen.append(create_callback(name, deepcopy(dict(options)), settings, source))
    return chosen


def autouse(settings: Settings | None = None) -> list[object]:
    """Return the plugins that are active in every run, sorted by name.

    A class is instantiated for each run; an object or module is shared by all.
    A broken plugin is left out with an `OnstageWarning`: it was not requested
    by name, so it must not stop a training.
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
            reason = error if isinstance(error, PluginError) else f"{plugin.label}: {show_error(error)}"
            warn(f"{reason}; the run continues without it")
    return active


def error_policy(callback: object, settings: Settings | None = None) -> Policy:
    """Return the effect of an error in a callback: ``"raise"``, ``"disable"`` or ``"retry"``.

    The first that is set of: ``on_error`` of the object itself, ``on_error`` in
    the settings, ``on_error`` of its class; else ``"raise"``.
    """
    settings = _config.settings() if settings is None else settings
    if settings.on_error and "on_error" not in getattr(callback, "__dict__", {}):
        names = setting_names(callback)
        for name, policy in settings.on_error.items():
            if canonicalize_name(name) in names:
                return policy
    return cast(Policy, getattr(callback, "on_error", "raise"))


def refuse_misspelled_names(settings: Settings) -> None:
    """Raise SettingsError if a name in the settings looks like a typo.

    The message has the setting and the closest installed name. A name without a
    close match is assumed to be a plugin that is not installed on this machine:
    one pyproject.toml serves several. ``onstage doctor`` lists such names.
    """
    for setting, name in unknown_names(settings):
        hint = did_you_mean(name, _installed_names(setting == "disable"))
        if hint:
            where = settings.sources.get(setting, setting)
            raise SettingsError(f"{where}: {setting} names {name!r}, which is not installed{hint}")


def unknown_names(settings: Settings) -> list[tuple[str, str]]:
    """Return ``(setting, name)`` of the names that no installed plugin has."""
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


def _flatten(given: object) -> Iterator[object]:
    """Yield the objects, and ``(name, options)`` for callbacks given by name."""
    if given is None:
        return
    if isinstance(given, str):
        yield given, {}
    elif isinstance(given, Mapping):
        yield from map(_named, given.items())
    elif isinstance(given, (list, tuple)):
        for item in given:
            yield from _flatten(item)
    elif isinstance(given, type):
        raise TypeError(
            f"a callback must be an object, got the class {given.__name__}; write {given.__name__}()"
        )
    elif isinstance(given, (FunctionType, MethodType, BuiltinFunctionType)):
        name = "…" if given.__name__ == "<lambda>" else given.__name__
        raise TypeError(
            f"a callback must be an object with stage methods, got the function {given.__name__}; "
            f"write LambdaCallback(on_epoch_end={name})"
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
    """Return the canonical names that the settings may use for an object.

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
    """Return whether a callback given in code is blocked; if so, warn."""
    if not _is_blocked(given, settings):
        return False
    label = given if isinstance(given, str) else type(given).__name__
    where = settings.sources.get("disable", "disable")
    warn(f"the callback {label} is left out: blocked by {where}")
    return True


def _present(name: str, chosen: Iterable[object], settings: Settings) -> bool:
    """Return whether an instance of a name's class is among those chosen."""
    target = load_factory(name, settings)
    return isinstance(target, type) and any(isinstance(one, target) for one in chosen)
