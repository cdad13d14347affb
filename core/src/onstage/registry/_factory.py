"""One callback from its name and options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import deepcopy
from functools import lru_cache
from importlib import import_module
from typing import Any, cast

from onstage.errors import PluginError, did_you_mean
from onstage.registry import _config, _discovery
from onstage.registry._config import Options, Settings
from onstage.registry._discovery import CALLBACKS, Plugin
from onstage.registry._distributions import canonicalize_name


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
    return create_callback(name, options, _config.settings())


def load_factory(name: str, settings: Settings) -> Callable[..., object]:
    """Import the class or factory of a name.

    Raises
    ------
    PluginError
        As in `callback`.
    """
    target = _imported(name, settings) if ":" in name else _plugin(name, settings).load()
    return cast(Callable[..., object], target)


def _plugin(name: str, settings: Settings) -> Plugin:
    return _discovery.find(name, CALLBACKS, settings.disable)


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


def create_callback(name: str, options: Options, settings: Settings, noted: str = "") -> object:
    """Make a callback, under settings that were read before.

    Parameters
    ----------
    name, options
        As for `callback`.
    settings
        Give defaults of options, and what is blocked.
    noted
        Which setting asks for it, for the note on an error.
    """
    target = load_factory(name, settings)
    try:
        if ":" not in name:
            plugin = _plugin(name, settings)
            # Copied: a callback may change a list that the settings keep for the next run.
            options = {**deepcopy(dict(defaults_for(plugin, settings))), **options}
        check_options(name, target, options)
        made = target(**options)
    except Exception as error:
        source = f", asked for by {noted}" if noted else ""
        error.add_note(f"while making the callback {name!r}{source}")
        raise
    if made is None or isinstance(made, type):
        raise PluginError(f"the callback {name!r} must make an object, its factory gave {made!r}")
    return made


def defaults_for(plugin: Plugin, settings: Settings) -> Options:
    """Give the defaults that the settings have for a plugin's options."""
    names = {canonicalize_name(plugin.name), canonicalize_name(plugin.attribute)}
    for key, options in settings.options.items():
        if canonicalize_name(key) in names:
            return options
    return {}


@lru_cache(maxsize=256)
def signature_of(target: Callable[..., object]) -> inspect.Signature | None:
    """Give the signature of a class or factory, None where it has none."""
    if type(target) is type and not any(
        {"__init__", "__new__"} & vars(c).keys() for c in target.__mro__[:-1]
    ):
        return inspect.Signature()  # inspect would parse object's, which is a text, with a tokenizer
    try:
        return inspect.signature(target)
    except (TypeError, ValueError):
        return None


def check_options(
    name: str, target: Callable[..., object], options: Options, *, complete: bool = True
) -> None:
    """Refuse options that a class or factory doesn't have.

    Parameters
    ----------
    name
        For the message.
    target
        The class or factory.
    options
        What would be given to it.
    complete
        Whether to refuse as well that a required one is missing.

    Raises
    ------
    TypeError
        The message has the closest option, or the missing one.
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
    needed = [one for one in known if signature.parameters[one].default is inspect.Parameter.empty]
    missing = [one for one in needed if one not in options]
    if missing and complete:
        raise TypeError(
            f"{name} needs the option {missing[0]!r}; write {{{name!r}: {{{missing[0]!r}: ...}}}} "
            "or set it under [tool.onstage.options]"
        )
