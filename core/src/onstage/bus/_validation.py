"""Check plugins at registration, and name them."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from pluggy import HookImpl, HookimplOpts

from onstage.errors import did_you_mean
from onstage.hookspecs import ALIASES


class StageRegistry(Protocol):
    """The stages, and the names in use; implemented by `onstage.Bus`."""

    def stage_names(self) -> list[str]:
        """Return the names of the stages."""
        ...

    def is_stage(self, name: str) -> bool:
        """Return whether a hook of this name has a specification."""
        ...

    def argnames(self, stage: str) -> tuple[str, ...]:
        """Return the arguments of a stage in the order of its specification."""
        ...

    def has_plugin(self, name: str) -> bool:
        """Return whether a plugin of this name is registered."""
        ...


def implements(plugin: object, name: str, is_stage: Callable[[str], bool]) -> bool:
    """Return whether an attribute of a plugin implements a stage.

    Properties are not evaluated. A method that its base class marks as a
    default, as ours and Keras's do, does not count.
    """
    return _is_implementation(name, inspect.getattr_static(plugin, name, None), is_stage)


def _is_implementation(name: str, found: object, is_stage: Callable[[str], bool]) -> bool:
    if name.startswith("__") or not (is_stage(name) or is_stage(_marks(found).get("specname") or "")):
        return False
    if found is None or getattr(found, "_is_default", False):
        return False
    return not isinstance(found, property)


def _marks(found: object) -> dict[str, Any]:
    """Return the options of ``@hookimpl(…)``, ``{}`` for a method without it."""
    if isinstance(found, (staticmethod, classmethod)) and not hasattr(found, "onstage_impl"):
        found = found.__func__
    marks = getattr(found, "onstage_impl", None)
    return marks if isinstance(marks, dict) else {}


def _attributes(plugin: object) -> dict[str, object]:
    """Return the attributes by name, as inspect.getattr_static does, except object's.

    One merge: that function searches all base classes for every name, which
    would be most of the time that a run takes to start.
    """
    if isinstance(plugin, types.ModuleType):
        return vars(plugin)
    merged: dict[str, object] = {}
    for base in reversed(type(plugin).__mro__):
        if base is not object:
            merged.update(vars(base))
    for name, value in getattr(plugin, "__dict__", {}).items():
        if not isinstance(merged.get(name), property):
            merged[name] = value
    return merged


def default_hookimpl_opts() -> HookimplOpts:
    """Return pluggy's options for a method without ``@hookimpl``."""
    return {
        "wrapper": False,
        "hookwrapper": False,
        "optionalhook": False,
        "tryfirst": False,
        "trylast": False,
        "specname": None,
    }


def implementations(plugin: object, bus: StageRegistry) -> dict[str, HookimplOpts]:
    """Return pluggy's options of each method that implements a stage, by its name.

    No method of the plugin is called.

    Raises
    ------
    TypeError
        If it cannot be a plugin; see `Bus.register`.
    """
    if isinstance(plugin, type):
        raise TypeError(
            f"a callback must be an object, got the class {plugin.__name__}; write {plugin.__name__}()"
        )
    label = class_name(plugin)
    attributes = _attributes(plugin)
    is_stage = frozenset(bus.stage_names()).__contains__
    stages = {name: found for name, found in attributes.items() if _is_implementation(name, found, is_stage)}
    for name, found in stages.items():
        _check_hookable(name, found, label)
    # A module may hold any function; a class with an on_… method means a stage.
    if not isinstance(plugin, types.ModuleType):
        _reject_misspelt(attributes, label, bus)
    if not stages and not hasattr(plugin, "set_model"):
        raise TypeError(
            f"a callback must have methods named after stages (on_epoch_end, …), got {plugin!r}; "
            "pass an instance of a class that has some"
        )
    options: dict[str, Any] = {
        name: {**default_hookimpl_opts(), **_marks(found)} for name, found in stages.items()
    }
    for name in stages:
        _check_arguments(plugin, name, options[name], label, bus)
    return _without_skipped(plugin, _with_one_name(options), label, bus)


def _with_one_name(options: dict[str, Any]) -> dict[str, HookimplOpts]:
    """Register aliases under their stage; drop an alias if the stage's own method exists."""
    targets = {name: opts["specname"] or name for name, opts in options.items()}
    kept: dict[str, HookimplOpts] = {}
    for name, target in targets.items():
        stage = ALIASES.get(target, target)
        if stage == target or stage not in targets.values():
            options[name]["specname"] = None if stage == name else stage
            kept[name] = options[name]
    return kept


def _without_skipped(
    plugin: object, options: dict[str, HookimplOpts], label: str, bus: StageRegistry
) -> dict[str, HookimplOpts]:
    skips = getattr(plugin, "skips", ())
    for stage in skips:
        if not bus.is_stage(stage):
            raise TypeError(
                f"{label}.skips must name stages, got {stage!r}{did_you_mean(stage, bus.stage_names())}"
            )
    skipped = {ALIASES.get(stage, stage) for stage in skips}
    return {name: opts for name, opts in options.items() if (opts["specname"] or name) not in skipped}


def _check_hookable(name: str, found: object, label: str) -> None:
    if not isinstance(found, (types.FunctionType, types.MethodType, classmethod, staticmethod)):
        raise TypeError(
            f"{label}.{name} must be a function or method, got {type(found).__name__}; wrap it in a lambda"
        )


def _reject_misspelt(attributes: dict[str, object], label: str, bus: StageRegistry) -> None:
    for name, found in attributes.items():
        if not name.startswith("on_") or bus.is_stage(name):
            continue
        if _marks(found).get("specname") or not inspect.isroutine(found):
            continue
        raise TypeError(
            f"{label}.{name} is not a stage{did_you_mean(name, bus.stage_names())} "
            "(only the names of stages may begin with 'on_')"
        )


def _check_arguments(plugin: object, name: str, opts: HookimplOpts, label: str, bus: StageRegistry) -> None:
    stage = opts.get("specname") or name
    offered = bus.argnames(stage)
    impl = HookImpl(plugin, label, getattr(plugin, name), opts)
    if not (impl.argnames or impl.kwargnames) and _takes_anything(impl.function):
        raise TypeError(
            f"{label}.{name} must declare the arguments that it uses, got *args or **kwargs; "
            f"name some of {', '.join(offered)}, or use functools.wraps in its decorator"
        )
    for argument in impl.argnames:
        if argument not in offered:
            raise TypeError(
                f"{label}.{name} takes the argument {argument!r}, which {stage} does not offer"
                f"{did_you_mean(argument, offered)}; it offers {', '.join(offered)}"
            )
    if stage in ("on_exception", "on_teardown") and (impl.wrapper or impl.hookwrapper):
        raise TypeError(f"{label}.{name} must not be a wrapper: {stage} calls each callback on its own")


def _takes_anything(function: Callable[..., Any]) -> bool:
    code = _code(function)
    return code is not None and bool(code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS))


def class_name(plugin: object) -> str:
    """Return the name of a plugin's class, or of a module."""
    return plugin.__name__ if isinstance(plugin, types.ModuleType) else type(plugin).__name__


def free_name(plugin: object, bus: StageRegistry) -> str:
    """Return an unused name for a plugin: ``EarlyStopping``, ``EarlyStopping-2``."""
    name = base = class_name(plugin)
    number = 2
    while bus.has_plugin(name):
        name = f"{base}-{number}"
        number += 1
    return name


def unique_names(plugins: Iterable[object]) -> list[tuple[str, object]]:
    """Name plugins in list order, independent of the order of registration."""
    seen: dict[str, int] = {}
    named = []
    for plugin in plugins:
        base = class_name(plugin)
        seen[base] = number = seen.get(base, 0) + 1
        named.append((base if number == 1 else f"{base}-{number}", plugin))
    return named


def describe(impl: HookImpl) -> str:
    """Return the plugin's name, distribution and version for a message."""
    from onstage.registry._discovery import provenance  # imported late: it reads the installed packages

    _, distribution, version = provenance(impl.plugin)
    where = f" ({distribution} {version})" if distribution else ""
    return f"callback {impl.plugin_name}{where}"


def error_policy(impl: HookImpl) -> str:
    """Return the error policy of a plugin, by its class and the user's settings."""
    from onstage.registry._selection import error_policy  # imported late: it reads the settings

    return error_policy(impl.plugin)


def raised_by(error: BaseException, impls: Sequence[HookImpl]) -> HookImpl | None:
    """Return the implementation that raised an error, found by the traceback."""
    codes = {_code(impl.function): impl for impl in impls}
    deepest = None  # the traceback also contains wrappers around the one that failed
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
