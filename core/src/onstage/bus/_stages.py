"""The compiled stages of a bus, each compiled when it is first looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

import pluggy
from pluggy import HookImpl

from onstage.bus._arguments import method_of
from onstage.bus._compiler import Emit, compile_stage
from onstage.bus._failures import Failures

Instrument = Callable[[str, str, Callable[..., Any]], Callable[..., Any]]
"""``(stage, plugin name, method) -> method``: wraps a method to trace or time it."""


class Hooks(Protocol):
    """The implementations of the stages; implemented by `onstage.Bus`."""

    hook: Any

    @property
    def monitored(self) -> bool:
        """Whether calls are being monitored; pluggy then makes them."""
        ...

    def argnames(self, stage: str) -> tuple[str, ...]:
        """Return the arguments of a stage in the order of its specification."""
        ...

    def implementations(self, stage: str) -> list[HookImpl]:
        """Return the implementations of a stage in call order."""
        ...


class _LazyCompiled:
    """Compiles a stage when its name is first looked up, and stores it on the instance.

    A ``__getattr__`` would do the same, but turn off CPython's fast attribute
    lookup for the class and double the cost of a stage without callbacks.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, stages: CompiledStages, owner: type[CompiledStages]) -> Emit | None:
        emit = stages.compile(self.name)
        setattr(stages, self.name, emit)
        return emit


class CompiledStages:
    """The compiled stages, as attributes: a callable, or None without callbacks.

    They are compiled at the first lookup, and again after each change of the
    registry.
    """

    def __init__(self, hooks: Hooks, failures: Failures, instrument: Instrument | None) -> None:
        self._hooks = hooks
        self._failures = failures
        self._instrument = instrument

    @classmethod
    def offer(cls, names: Iterable[str]) -> None:
        """Make stages available as attributes; AttributeError on a bus without them."""
        for name in names:
            if name not in cls.__dict__:
                setattr(cls, name, _LazyCompiled(name))

    def compile(self, name: str) -> Emit | None:
        """Compile a stage; return None if it has no implementation."""
        impls = self._hooks.implementations(name)
        if not impls:
            return None
        caller: pluggy.HookCaller = getattr(self._hooks.hook, name)
        spec = self._hooks.argnames(name)
        if self._hooks.monitored or any(impl.wrapper or impl.hookwrapper for impl in impls):
            return self._through_pluggy(caller, spec)
        failed, wrap = partial(self._failures.handle, name), partial(self._instrumented, name)
        return compile_stage(name, impls, spec, failed, wrap)

    def _through_pluggy(self, caller: pluggy.HookCaller, spec: tuple[str, ...]) -> Emit:
        def emit(*args: Any) -> None:
            with self._failures.noted(caller.name):
                caller(**dict(zip(spec, args, strict=True)))

        through: Any = emit
        through.reads_logs = True
        result: Emit = through
        return result

    def _instrumented(self, stage: str, impl: HookImpl) -> Callable[..., Any]:
        method = method_of(impl)
        return method if self._instrument is None else self._instrument(stage, impl.plugin_name, method)

    def invalidate(self) -> None:
        """Drop all compiled stages."""
        for name in [name for name in vars(self) if not name.startswith("_")]:
            delattr(self, name)
