"""Check plugins at registration, and name them."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from pluggy import HookImpl, HookimplOpts

from onstage.bus import _arguments
from onstage.bus._names import class_name
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

    def find_stage(self, name: str) -> bool:
        """Return whether there is a stage, after a search in the installed packages."""
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


def _inherited_order(plugin: object, name: str) -> dict[str, Any]:
    """Return ``tryfirst`` and ``trylast`` of the method that an override without a mark overrides."""
    for base in type(plugin).__mro__:
        marks = _marks(vars(base).get(name))
        if marks:
            return {option: marks[option] for option in ("tryfirst", "trylast")}
    return {}


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


class Implementation(NamedTuple):
    """A method of a plugin that implements a stage."""

    stage: str
    name: str
    """That of the method."""
    adapter: Callable[..., Any] | None
    """The function through which pluggy calls the method; None if it needs none."""
    opts: HookimplOpts


def implementations(plugin: object, bus: StageRegistry) -> list[Implementation]:
    """Return the methods of a plugin that implement stages; none is called.

    Optional ones without a stage are among them: they act as soon as it is added.

    Raises
    ------
    TypeError
        If it cannot be a plugin; see `Bus.register`.
    """
    if isinstance(plugin, type):
        raise TypeError(
            f"a callback must be an object, got the class {plugin.__name__}; write {plugin.__name__}()"
        )
    if isinstance(plugin, str):
        raise TypeError(f"a callback must be an object, got {plugin!r}; write onstage.callback({plugin!r})")
    label = class_name(plugin)
    attributes = _attributes(plugin)
    pending = _without_stage(attributes, bus)
    is_stage = frozenset(bus.stage_names()).__contains__
    stages = {name: found for name, found in attributes.items() if _is_implementation(name, found, is_stage)}
    for name, found in stages.items():
        _check_hookable(name, found, label)
    optional = {name: opts for name, opts in pending.items() if opts["optionalhook"]}
    for name in pending.keys() - optional.keys():
        # A module may hold any function; a class with an on_… method means a stage.
        if not isinstance(plugin, types.ModuleType) or hasattr(attributes[name], "onstage_impl"):
            raise _misspelt(name, label, bus)
    if not stages and not optional and not hasattr(plugin, "set_model"):
        got = f"an object of the class {label}" if type(plugin).__repr__ is object.__repr__ else repr(plugin)
        raise TypeError(
            f"a callback must have methods named after stages (on_epoch_end, …), got {got}; "
            "pass an instance of a class that has some"
        )
    options: dict[str, Any] = {
        name: {**default_hookimpl_opts(), **(_marks(found) or _inherited_order(plugin, name))}
        for name, found in stages.items()
    }
    adapters = {name: _adapter(plugin, name, options[name], label, bus) for name in stages}
    kept = _without_skipped(plugin, _with_one_name(options), attributes, label, bus)
    return [
        Implementation(opts["specname"] or name, name, adapters.get(name), opts)
        for name, opts in sorted({**kept, **optional}.items())
    ]


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
    plugin: object,
    options: dict[str, HookimplOpts],
    attributes: dict[str, object],
    label: str,
    bus: StageRegistry,
) -> dict[str, HookimplOpts]:
    skips = getattr(plugin, "skips", ())
    for stage in skips:
        if not callable(stage) and not bus.is_stage(stage):
            raise TypeError(
                f"{label}.skips must name stages, got {stage!r}{did_you_mean(stage, bus.stage_names())}"
            )
    if not skips:
        return options
    skipped = {ALIASES.get(stage, stage) for stage in skips}
    return {
        name: opts
        for name, opts in options.items()
        if (opts["specname"] or name) not in skipped and attributes[name] not in skips
    }


def _check_hookable(name: str, found: object, label: str) -> None:
    is_method = isinstance(found, (classmethod, staticmethod, functools.partialmethod))
    if not is_method and (not callable(found) or isinstance(found, type)):
        raise TypeError(f"{label}.{name} must be a function or method, got {found!r}")


def _without_stage(attributes: dict[str, object], bus: StageRegistry) -> dict[str, HookimplOpts]:
    """Return pluggy's options of the methods named or marked as implementations, whose stage is unknown."""
    pending: dict[str, HookimplOpts] = {}
    for name, found in attributes.items():
        if (name.startswith("on_") and not bus.is_stage(name)) or hasattr(found, "onstage_impl"):
            options: Any = {**default_hookimpl_opts(), **_marks(found)}
            if inspect.isroutine(found) and not bus.find_stage(options["specname"] or name):
                pending[name] = options
    return pending


def _misspelt(name: str, label: str, bus: StageRegistry) -> TypeError:
    hint = did_you_mean(_in_our_words(name), bus.stage_names())
    return TypeError(
        f"{label}.{name} is not a stage{hint} (only the names of stages may begin with 'on_'; "
        "for one of a package that may be absent, mark it with @hookimpl(optionalhook=True))"
    )


_FOREIGN_WORDS = {
    "_start": "_begin",
    "on_fit_": "on_train_",
    "on_step_": "on_train_batch_",
    "on_validation_": "on_test_",
    "on_evaluate": "on_test_end",
    "_before_optimizer_step": "_optimizer_step_begin",
    "_pre_optimizer_step": "_optimizer_step_begin",
    "on_train_epoch_": "on_epoch_",
    "on_test_epoch_": "on_test_",
    "on_predict_epoch_": "on_predict_",
}


def _in_our_words(name: str) -> str:
    """Translate a stage's name from Lightning or transformers."""
    for theirs, ours in _FOREIGN_WORDS.items():
        name = name.replace(theirs, ours)
    return name


def _adapter(
    plugin: object, name: str, opts: HookimplOpts, label: str, bus: StageRegistry
) -> Callable[..., Any] | None:
    """Check a method; return the function through which pluggy calls it, None if it needs none."""
    stage = opts.get("specname") or name
    impl = HookImpl(plugin, label, getattr(plugin, name), opts)
    is_wrapper = impl.wrapper or impl.hookwrapper
    if is_wrapper and stage in ("on_exception", "on_teardown"):
        raise TypeError(f"{label}.{name} must not be a wrapper: {stage} calls each callback on its own")
    if inspect.iscoroutinefunction(impl.function) or inspect.isasyncgenfunction(impl.function):
        raise TypeError(f"{label}.{name} must be a plain function, got an async one, which nothing awaits")
    if inspect.isgeneratorfunction(impl.function) != is_wrapper:
        must, got = ("yield once", "no yield") if is_wrapper else ("not yield", "a generator")
        raise TypeError(
            f"{label}.{name} must {must}, got {got}; only wrappers yield: @hookimpl(wrapper=True)"
        )
    if not is_wrapper and _overrides_wrapper(plugin, name):
        raise TypeError(
            f"{label}.{name} must be a wrapper, as the method that it overrides, got none; mark it with "
            f"@hookimpl(wrapper=True), and call it by: return (yield from super().{name}(…))"
        )
    return _arguments.adapt(impl, stage, bus.argnames(stage), f"{label}.{name}")


def _overrides_wrapper(plugin: object, name: str) -> bool:
    """Return whether a base class has a wrapper of this name, whose call by super() would do nothing."""
    marks = [_marks(vars(base).get(name)) for base in type(plugin).__mro__]
    return any(each.get("wrapper") or each.get("hookwrapper") for each in marks)


def free_name(plugin: object, bus: StageRegistry) -> str:
    """Return an unused name for a plugin: ``EarlyStopping``, ``EarlyStopping-2``."""
    name = base = class_name(plugin)
    number = 2
    while bus.has_plugin(name):
        name = f"{base}-{number}"
        number += 1
    return name
