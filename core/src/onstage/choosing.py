"""From what a user writes in ``callbacks=`` to the objects of a run."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, cast

from onstage import config, discovery
from onstage.config import Options, Policy, Settings
from onstage.discovery import AUTOUSE, CALLBACKS, Plugin
from onstage.distributions import normalise
from onstage.errors import OnstageWarning, PluginError, SettingsError, did_you_mean


def callback(name: str, /, **options: Any) -> Any:
    """Make the callback of a name: ``callback("early_stopping", patience=3)``.

    Parameters
    ----------
    name
        Its entry point, or its class; ``"module:Class"`` where the user's
        settings have ``allow_import``.
    **options
        Arguments of its constructor; they win over the defaults that the
        user's settings give.

    Raises
    ------
    PluginError
        There is none of that name, or it is broken, blocked, or claimed by two
        distributions.
    TypeError
        It has no such option (the message names the closest), or needs one.
    """
    return _make(name, options, config.settings())


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
        As in `callback` and `config.settings`.
    """
    settings = config.settings() if settings is None else settings
    refuse_unknown_names(settings)
    chosen: list[object] = []
    names = set()
    for given in _flat(callbacks):
        if isinstance(given, tuple):
            name, options = given
            names.add(name)
            if not _left_out(name, settings):
                chosen.append(_make(name, options, settings))
        elif not _left_out(given, settings):
            chosen.append(given)
    for name, options in settings.callbacks:
        if name not in names and not _is_blocked(name, settings) and not _present(name, chosen, settings):
            names.add(name)
            chosen.append(_make(name, options, settings, noted=settings.sources.get("callbacks", "")))
    return chosen


def autouse(settings: Settings | None = None) -> list[object]:
    """Give the plugins that are active in every run, sorted by name.

    A class is made anew for each run; an object or module is shared by all.
    One that is broken is left out with an `OnstageWarning`: nobody asked for
    it by name, so it must not take a training down.
    """
    settings = config.settings() if settings is None else settings
    found = discovery.installed(AUTOUSE, settings.disable) if settings.autouse else []
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
    settings = config.settings() if settings is None else settings
    if settings.on_error and "on_error" not in getattr(callback, "__dict__", {}):
        names = _names_of(callback)
        for name, policy in settings.on_error.items():
            if normalise(name) in names:
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
        if normalise(name) not in map(normalise, _installed_names(setting == "disable"))
    ]


def _installed_names(with_distributions: bool) -> list[str]:
    plugins = [*discovery.installed(CALLBACKS), *discovery.installed(AUTOUSE)]
    names = [name for plugin in plugins for name in (plugin.name, plugin.attribute) if name]
    return [*names, *(plugin.distribution for plugin in plugins)] if with_distributions else names


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


# ---------------------------------------------------------------- blocked, present


def _names_of(callback: object) -> set[str]:
    entry_point, distribution, _ = discovery.origin(callback)
    return {normalise(name) for name in (entry_point, distribution, type(callback).__name__) if name}


def _is_blocked(given: object, settings: Settings) -> bool:
    if not settings.disable:
        return False
    if not isinstance(given, str):
        return not _names_of(given).isdisjoint(map(normalise, settings.disable))
    if ":" in given:
        return normalise(given.partition(":")[2]) in map(normalise, settings.disable)
    return discovery.find(given, blocked=settings.disable).status == "blocked"


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
    target = _target(name, settings)
    return isinstance(target, type) and any(isinstance(one, target) for one in chosen)


# ---------------------------------------------------------------- making


def _target(name: str, settings: Settings) -> Callable[..., object]:
    target = _imported(name, settings) if ":" in name else _plugin(name, settings).load()
    return cast(Callable[..., object], target)


def _plugin(name: str, settings: Settings) -> Plugin:
    return discovery.find(name, CALLBACKS, settings.disable)


def _imported(name: str, settings: Settings) -> object:
    if not settings.allow_import:
        raise PluginError(
            f"the callback {name!r} names a module to import, which is switched off; set allow_import = true "
            "under [tool.onstage] in pyproject.toml, or ONSTAGE_ALLOW_IMPORT=1, or pass the object itself"
        )
    module, _, attribute = name.partition(":")
    try:
        target = getattr(import_module(module), attribute)
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"the callback {name!r} can't be imported: {type(error).__name__}: {error}"
        ) from error
    if not callable(target):
        raise PluginError(f"the callback {name!r} must be a class or a function, got {type(target).__name__}")
    return cast(object, target)


def _make(name: str, options: Options, settings: Settings, noted: str = "") -> object:
    target = _target(name, settings)
    known_as = name if ":" in name else _plugin(name, settings).name
    try:
        options = {**_defaults(known_as, target, settings), **options}
        _check_options(known_as, target, options)
        made = target(**options)
    except Exception as error:
        source = f", asked for by {noted}" if noted else ""
        error.add_note(f"while making the callback {name!r}{source}")
        raise
    if made is None or isinstance(made, type):
        raise PluginError(f"the callback {name!r} must make an object, its factory gave {made!r}")
    return made


def _defaults(name: str, target: object, settings: Settings) -> Options:
    names = {normalise(name), normalise(getattr(target, "__name__", name))}
    for key, options in settings.options.items():
        if normalise(key) in names:
            return options
    return {}


@lru_cache(maxsize=256)
def signature_of(target: Callable[..., object]) -> inspect.Signature | None:
    """Give the signature of a class or factory, None where it has none."""
    try:
        return inspect.signature(target)
    except (TypeError, ValueError):
        return None


def _check_options(name: str, target: Callable[..., object], options: Options) -> None:
    signature = signature_of(target)
    if signature is None:
        return
    parameters = signature.parameters.values()
    known = [one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    open_ended = any(one.kind is one.VAR_KEYWORD for one in parameters)
    for option in options:
        if option not in known and not open_ended:
            listed = ", ".join(known) or "none"
            raise TypeError(
                f"{name} has no option {option!r}{did_you_mean(option, known)} (options: {listed})"
            )
    needed = [one for one in known if signature.parameters[one].default is inspect.Parameter.empty]
    missing = [one for one in needed if one not in options]
    if missing:
        raise TypeError(
            f"{name} needs the option {missing[0]!r}; write {{{name!r}: {{{missing[0]!r}: ...}}}} "
            "or set it under [tool.onstage.options]"
        )
