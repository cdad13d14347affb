"""Create a callback from its name and options."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from copy import deepcopy
from functools import lru_cache
from importlib import import_module
from typing import Any, cast

from onstage.errors import PluginError, did_you_mean, show_error
from onstage.registry import _config, _discovery
from onstage.registry._config import Options, Settings
from onstage.registry._discovery import CALLBACKS, Plugin
from onstage.registry._distributions import canonicalize_name
from onstage.registry._plugin import has_stages


def callback(name: str, /, **options: Any) -> Any:
    """Create a callback by name.

    Parameters
    ----------
    name
        Its entry point or class; or ``"module:Class"`` if the environment has
        ``ONSTAGE_ALLOW_IMPORT=1``.
    **options
        Arguments of its constructor; they override the defaults in the settings.

    Raises
    ------
    PluginError
        If no plugin has the name, or it is broken, blocked, or claimed by two
        distributions.
    TypeError
        If an option does not exist (the message names the closest) or a
        required one is missing.

    Examples
    --------
    >>> import onstage
    >>> onstage.callback("early_stopping", patience=3).patience
    3
    """
    return create_callback(name, options, _config.settings())


def load_factory(name: str, settings: Settings) -> Callable[..., object]:
    """Import the class or factory of a callback.

    Raises PluginError as `callback` does.
    """
    target = _import(name, settings) if ":" in name else _plugin(name, settings).load()
    return cast(Callable[..., object], target)


def _plugin(name: str, settings: Settings) -> Plugin:
    return _discovery.find(name, CALLBACKS, settings.disable)


def _import(name: str, settings: Settings) -> object:
    if not settings.allow_import:
        raise PluginError(
            f"the callback {name!r} names a module to import, which is disabled; "
            "set ONSTAGE_ALLOW_IMPORT=1, or pass the object itself"
        )
    module, _, attribute = name.partition(":")
    try:
        target = getattr(import_module(module), attribute)
    except (Exception, SystemExit) as error:
        raise PluginError(f"the callback {name!r} can't be imported: {show_error(error)}") from error
    # Checked before it is called: a name such as "os:system" is no callback.
    if not isinstance(target, type) or not has_stages(target):
        kind = "a class without any stage method" if isinstance(target, type) else type(target).__name__
        raise PluginError(f"the callback {name!r} must be a callback class, got {kind}")
    return target


def create_callback(name: str, options: Options, settings: Settings, source: str = "") -> object:
    """Create a callback under the given settings.

    Parameters
    ----------
    name, options
        As for `callback`.
    settings
        The default options, and the names that are blocked.
    source
        The setting that requests the callback, for the note on an error.
    """
    target = load_factory(name, settings)
    try:
        if ":" not in name:
            plugin = _plugin(name, settings)
            # Copied: a callback may modify a list that the settings keep for the next run.
            options = {**deepcopy(dict(defaults_for(plugin, settings))), **options}
        check_options(name, target, options)
        created = target(**options)
    except Exception as error:
        error.add_note(
            f"while creating the callback {name!r}" + (f", requested by {source}" if source else "")
        )
        raise
    if created is None or isinstance(created, type):
        raise PluginError(f"the factory of the callback {name!r} must return an object, got {created!r}")
    if source:
        _remember(created, source)
    return created


_sources: dict[int, tuple[weakref.ref[object], str]] = {}
"""The setting that added each callback, by its id: not every object has a hash."""


def _remember(created: object, source: str) -> None:
    key = id(created)
    try:
        _sources[key] = weakref.ref(created, lambda _: _sources.pop(key, None)), source
    except TypeError:  # an object with __slots__: messages are shorter
        return


def source_of(callback: object) -> str:
    """Return the setting that added a callback, a path or a variable; empty if the code passed it."""
    found = _sources.get(id(callback))
    return found[1] if found is not None and found[0]() is callback else ""


def defaults_for(plugin: Plugin, settings: Settings) -> Options:
    """Return the default options of a plugin in the settings."""
    names = {canonicalize_name(plugin.name), canonicalize_name(plugin.attribute)}
    for key, options in settings.options.items():
        if canonicalize_name(key) in names:
            return options
    return {}


@lru_cache(maxsize=256)
def signature_of(target: Callable[..., object]) -> inspect.Signature | None:
    """Return the signature of a class or factory, None if it is unknown."""
    if type(target) is type and not any(
        {"__init__", "__new__"} & vars(c).keys() for c in target.__mro__[:-1]
    ):
        return inspect.Signature()  # inspect would run a tokenizer over the text of object's signature
    try:
        return inspect.signature(target)
    except (TypeError, ValueError):
        return None


def check_options(
    name: str, target: Callable[..., object], options: Options, *, complete: bool = True
) -> None:
    """Raise TypeError if a class or factory does not accept the options.

    The message names the closest option, or the missing one.

    Parameters
    ----------
    name
        Name of the callback in the message.
    target
        The class or factory.
    options
        Its keyword arguments.
    complete
        Whether to raise as well if a required option is missing.
    """
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
    required = [one for one in known if signature.parameters[one].default is inspect.Parameter.empty]
    missing = [one for one in required if one not in options]
    if missing and complete:
        made = f"{getattr(target, '__name__', name)}({missing[0]}=...)"
        raise TypeError(
            f"{name} needs the option {missing[0]!r}; write {made} or {{{name!r}: {{{missing[0]!r}: ...}}}}, "
            "or set it under [tool.onstage.options]"
        )
