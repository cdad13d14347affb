"""What counts as a plugin, and the messages for what doesn't."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pluggy import HookImpl

from onstage.callback import Callback
from onstage.errors import did_you_mean

if TYPE_CHECKING:
    from onstage.bus import Bus


def implements(plugin: object, name: str, is_stage: Callable[[str], bool]) -> bool:
    """Whether an attribute of a plugin implements a stage.

    Looked up without running properties. What a base class merely offers for
    overriding (ours, and Keras's, which marks those) does not count.
    """
    if name.startswith("__"):
        return False
    found = inspect.getattr_static(plugin, name, None)
    marked = getattr(found, "onstage_impl", None)
    if not is_stage(name) and not is_stage((marked or {}).get("specname") or ""):
        return False
    if found is None or found is getattr(Callback, name, None) or getattr(found, "_is_default", False):
        return False
    return not isinstance(found, property)


def check(plugin: object, bus: Bus) -> None:
    """Refuse what can't be a plugin, before anything of it is called.

    Raises
    ------
    TypeError
        See `Bus.register`.
    """
    if isinstance(plugin, type):
        raise TypeError(
            f"a callback must be an object, got the class {plugin.__name__}; write {plugin.__name__}()"
        )
    label = class_name(plugin)
    names = [name for name in dir(plugin) if implements(plugin, name, bus.is_stage)]
    for name in names:
        _check_hookable(plugin, name, label)
    _refuse_misspelt(plugin, label, bus)
    if not names and not isinstance(plugin, Callback) and not hasattr(plugin, "set_model"):
        raise TypeError(
            f"a callback must have methods named after stages (on_epoch_end, …), got {plugin!r}; "
            "pass an instance of a class that has some"
        )
    for name in names:
        _check_arguments(plugin, name, label, bus)


def _check_hookable(plugin: object, name: str, label: str) -> None:
    found = inspect.getattr_static(plugin, name)
    if not isinstance(found, (types.FunctionType, types.MethodType, classmethod, staticmethod)):
        raise TypeError(
            f"{label}.{name} must be a function or method, got {type(found).__name__}; wrap it in a lambda"
        )


def _refuse_misspelt(plugin: object, label: str, bus: Bus) -> None:
    # A module may hold any function; a class with an on_… method means a stage.
    if isinstance(plugin, types.ModuleType):
        return
    for name in dir(plugin):
        if not name.startswith("on_") or bus.is_stage(name):
            continue
        found = inspect.getattr_static(plugin, name, None)
        if (getattr(found, "onstage_impl", None) or {}).get("specname") or not inspect.isroutine(found):
            continue
        raise TypeError(
            f"{label}.{name} is not a stage{did_you_mean(name, bus.stage_names())} "
            "(a method that is no stage must not begin with 'on_')"
        )


def _check_arguments(plugin: object, name: str, label: str, bus: Bus) -> None:
    opts = bus.parse_hookimpl_opts(plugin, name)
    assert opts is not None
    stage = opts.get("specname") or name
    spec = getattr(bus.hook, stage).spec
    offered = (*spec.argnames, *spec.kwargnames)
    impl = HookImpl(plugin, label, getattr(plugin, name), {**opts})
    if not (impl.argnames or impl.kwargnames) and _takes_anything(impl.function):
        raise TypeError(
            f"{label}.{name} takes *args or **kwargs, and is called with the arguments that it names; "
            f"name those it wants of {', '.join(offered)}, or use functools.wraps in its decorator"
        )
    for argument in impl.argnames:
        if argument not in offered:
            raise TypeError(
                f"{label}.{name} takes the argument {argument!r}, which {stage} does not offer"
                f"{did_you_mean(argument, offered)}; it offers {', '.join(offered)}"
            )
    if stage in ("on_exception", "on_teardown") and (impl.wrapper or impl.hookwrapper):
        raise TypeError(f"{label}.{name} must not be a wrapper: {stage} is called one by one, each isolated")


def _takes_anything(function: Callable[..., Any]) -> bool:
    code = _code(function)
    return code is not None and bool(code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS))


def class_name(plugin: object) -> str:
    """Name a plugin for people: its class, or the module's name."""
    return plugin.__name__ if isinstance(plugin, types.ModuleType) else type(plugin).__name__


def free_name(plugin: object, bus: Bus) -> str:
    """Name a plugin after its class; ``EarlyStopping-2`` for a second one."""
    name = base = class_name(plugin)
    number = 2
    while bus.has_plugin(name):
        name = f"{base}-{number}"
        number += 1
    return name


def unique_names(plugins: Iterable[object]) -> list[tuple[str, object]]:
    """Name plugins in list order, so that names don't depend on registration."""
    seen: dict[str, int] = {}
    named = []
    for plugin in plugins:
        base = class_name(plugin)
        seen[base] = number = seen.get(base, 0) + 1
        named.append((base if number == 1 else f"{base}-{number}", plugin))
    return named


def describe(impl: HookImpl) -> str:
    """Name the plugin of an implementation, with its distribution and version."""
    from onstage.discovery import origin  # imported late: it reads the installed packages

    _, distribution, version = origin(impl.plugin)
    where = f" ({distribution} {version})" if distribution else ""
    return f"callback {impl.plugin_name}{where}"


def error_policy(impl: HookImpl) -> str:
    """Say what an error in a plugin does: ``"raise"`` or ``"disable"``."""
    from onstage.choosing import error_policy  # imported late: the user's settings have a say

    return error_policy(impl.plugin)


def raised_by(error: BaseException, impls: Sequence[HookImpl]) -> HookImpl | None:
    """Find the implementation in which an error was raised, by its traceback."""
    codes = {_code(impl.function): impl for impl in impls}
    deepest = None  # a wrapper around the one that failed is in the traceback too
    trace = error.__traceback__
    while trace is not None:
        impl = codes.get(trace.tb_frame.f_code)
        if impl is not None and _plugin_of(trace.tb_frame, impl):
            deepest = impl
        trace = trace.tb_next
    return deepest


def _code(function: Callable[..., Any]) -> types.CodeType | None:
    return getattr(inspect.unwrap(function), "__code__", None)


def _plugin_of(frame: types.FrameType, impl: HookImpl) -> bool:
    owner = frame.f_locals.get("self")
    return owner is None or owner is impl.plugin
