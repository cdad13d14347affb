"""The stages of a bus, each compiled into one callable at its first look."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

import pluggy
from pluggy import HookImpl

from onstage.bus._compiler import Emit, compile_stage
from onstage.bus._failures import Failures

Instrument = Callable[[str, str, Callable[..., Any]], Callable[..., Any]]
"""``(stage, plugin name, method) -> method``: wraps what is called, to time it."""


class Hooks(Protocol):
    """The implementations of the stages, as `onstage.Bus` has them."""

    hook: Any

    @property
    def monitored(self) -> bool:
        """Whether somebody watches the calls: then pluggy does them all."""
        ...

    def argnames(self, stage: str) -> tuple[str, ...]:
        """Return the arguments of a stage, in the order of its specification."""
        ...

    def implementations(self, stage: str) -> list[HookImpl]:
        """Return the implementations of a stage, in the order of the calls."""
        ...


class _LazyCompiled:
    """Compiles a stage when its name is first looked up, and leaves it in the instance.

    A ``__getattr__`` would do the same, and take the interpreter's fast lookup
    of attributes from the class: it would double what a stage without
    callbacks costs.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, stages: CompiledStages, owner: type[CompiledStages]) -> Emit | None:
        emit = stages.compile(self.name)
        setattr(stages, self.name, emit)
        return emit


class CompiledStages:
    """A stage's name as an attribute gives its compiled call, or None.

    Compiled at the first look; a change of the registry forgets them all.
    """

    def __init__(self, hooks: Hooks, failures: Failures, instrument: Instrument | None) -> None:
        self._hooks = hooks
        self._failures = failures
        self._instrument = instrument

    @classmethod
    def offer(cls, names: Iterable[str]) -> None:
        """Let stages be looked up; those that a bus doesn't have fail there."""
        for name in names:
            if name not in cls.__dict__:
                setattr(cls, name, _LazyCompiled(name))

    def compile(self, name: str) -> Emit | None:
        """Compile a stage; its arguments go by position, in the order of the specification."""
        caller: pluggy.HookCaller = getattr(self._hooks.hook, name)
        spec = self._hooks.argnames(name)
        impls = self._hooks.implementations(name)
        if impls and (self._hooks.monitored or any(impl.wrapper or impl.hookwrapper for impl in impls)):
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
        if self._instrument is None:
            return impl.function
        return self._instrument(stage, impl.plugin_name, impl.function)

    def invalidate(self) -> None:
        """Compile anew at the next look."""
        for name in [name for name in vars(self) if not name.startswith("_")]:
            delattr(self, name)
