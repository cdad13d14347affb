"""Bus: the plugins of one run, in order, on a pluggy PluginManager.

To pluggy's users it is a PluginManager: ``register``, ``unregister``,
``bus.hook.on_epoch_end(epoch=0, logs={…})``, wrappers, monitoring. To the
`Run` it offers `stages`: each stage compiled into one callable, or None.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pluggy
from pluggy import HookImpl, HookimplOpts, HookspecOpts

from onstage.bus import _validation
from onstage.bus._compiler import Emit, compile_stage, fuse
from onstage.errors import OnstageWarning
from onstage.hookspecs import PROJECT, Stages

if TYPE_CHECKING:
    from onstage.bus._hook_types import HookCalls
    from onstage.context import RunContext

Instrument = Callable[[str, str, Callable[..., Any]], Callable[..., Any]]
"""``(stage, plugin name, method) -> method``: wraps what is called, to time it."""

FUSED = {
    "batch_begin": ("on_train_batch_begin", "on_batch_begin"),
    "batch_end": ("on_train_batch_end", "on_batch_end"),
}
"""Stages that fire together; `CompiledStages` has each pair as one callable."""


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

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    @classmethod
    def offer(cls, names: Iterable[str]) -> None:
        """Let stages be looked up; those that a bus doesn't have fail there."""
        for name in names:
            if name not in cls.__dict__:
                setattr(cls, name, _LazyCompiled(name))

    def compile(self, name: str) -> Emit | None:
        """Compile a stage, or two that fire together."""
        if name in FUSED:
            return fuse(*(getattr(self, stage) for stage in FUSED[name]))
        return self._bus.compile(name)

    def invalidate(self) -> None:
        """Compile anew at the next look."""
        for name in [name for name in vars(self) if name != "_bus"]:
            delattr(self, name)


CompiledStages.offer(FUSED)


class Bus(pluggy.PluginManager):
    """A pluggy PluginManager with onstage's stages, that compiles its calls.

    Parameters
    ----------
    plugins
        Registered in list order: the first is called first.
    instrument
        Wraps every method that is called, to trace or to time it.

    Attributes
    ----------
    stages
        Each stage under its name, compiled: a callable, or None.
    disabled
        Names of the plugins that failed and were taken out.

    Examples
    --------
    >>> bus = Bus()
    >>> class Printer:
    ...     def on_epoch_end(self, epoch, logs):
    ...         print(epoch, logs["loss"])
    >>> name = bus.register(Printer())
    >>> _ = bus.hook.on_epoch_end(epoch=0, logs={"loss": 0.5})
    0 0.5
    """

    if TYPE_CHECKING:
        hook: HookCalls  # type: ignore[assignment, misc]  # pluggy's relay, with the stages spelt out

    def __init__(self, plugins: Iterable[object] = (), *, instrument: Instrument | None = None) -> None:
        super().__init__(PROJECT)
        self.stages = CompiledStages(self)
        self._stage_names: dict[str, None] = {}
        self._specifications: list[Any] = []
        self.add_hookspecs(Stages)
        self.run: RunContext | None = None
        self.disabled: list[str] = []
        self._instrument = instrument
        self._monitors = 0
        self._registering: dict[str, HookimplOpts] | None = None
        plugins = list(plugins)
        for plugin in plugins:
            self._add_stages_of(plugin)
        # Reversed: pluggy calls the last registered first, users expect list order.
        named = _validation.unique_names(plugins)
        for name, plugin in reversed(named):
            self.register(plugin, name)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle plugins, their names and order, and stages; not run, monitors, instrument."""
        return _rebuilt, (self._specifications[1:], self.plugins(), self.disabled)

    def register(self, plugin: object, name: str | None = None) -> str | None:
        """Register a plugin; as in pluggy, it is called before the earlier ones.

        Raises
        ------
        TypeError
            It is a class, has no stage, a misspelt stage, or a stage with an
            argument that isn't offered; the message has the closest name.
        """
        if plugin is None:
            return None
        self._add_stages_of(plugin)
        self._registering = _validation.implementations(plugin, self)
        try:
            return super().register(plugin, name or _validation.free_name(plugin, self))
        finally:
            self._registering = None
            self.stages.invalidate()

    def unregister(self, plugin: object | None = None, name: str | None = None) -> Any:
        """Take a plugin out; a call that is under way still reaches it."""
        gone = super().unregister(plugin, name)
        self.stages.invalidate()
        return gone

    def add_hookspecs(self, module_or_class: Any) -> None:
        """Add stages of a plugin's own; emitted with ``run.emit("on_my_stage", …)``."""
        super().add_hookspecs(module_or_class)
        self._specifications.append(module_or_class)
        callers: dict[str, Any] = vars(self.hook)
        self._stage_names = {name: None for name, caller in callers.items() if caller.has_spec()}
        self.stages.offer(self._stage_names)
        self.stages.invalidate()

    def _add_stages_of(self, plugin: object) -> None:
        """Add the stages that a plugin brings, before anybody who acts in them is looked at."""
        stages = getattr(plugin, "hookspecs", None)
        if stages is not None and stages not in self._specifications:
            self.add_hookspecs(stages)

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> HookspecOpts | None:
        """Read what ``@hookspec`` says; pluggy's own way is slow for a class."""
        if module_or_class is not Stages:
            return super().parse_hookspec_opts(module_or_class, name)
        opts: HookspecOpts | None = getattr(vars(Stages).get(name), f"{PROJECT}_spec", None)
        return opts

    def add_hookcall_monitoring(self, before: Any, after: Any) -> Callable[[], None]:
        """Watch every call; until the returned function is called, pluggy does them all."""
        undo = super().add_hookcall_monitoring(before, after)
        self._monitors += 1
        self.stages.invalidate()

        def stop_monitoring() -> None:
            undo()
            self._monitors -= 1
            self.stages.invalidate()

        return stop_monitoring

    def parse_hookimpl_opts(self, plugin: object, name: str) -> HookimplOpts | None:
        """Take a method with a stage's name for an implementation, marked or not."""
        if self._registering is not None:
            return self._registering.get(name)
        if not _validation.implements(plugin, name, self.is_stage):
            return None
        return super().parse_hookimpl_opts(plugin, name) or _validation.default_hookimpl_opts()

    def is_stage(self, name: str) -> bool:
        """Whether a hook of this name has a specification."""
        return name in self._stage_names

    def stage_names(self) -> list[str]:
        """Name the stages, those that plugins added last."""
        return list(self._stage_names)

    def implementations(self, stage: str) -> list[HookImpl]:
        """Give the implementations of a stage, in the order of the calls."""
        caller: pluggy.HookCaller = getattr(self.hook, stage)
        return caller.get_hookimpls()[::-1]

    def plugins(self) -> list[tuple[str, object]]:
        """Give names and plugins, first called first."""
        return [(name, plugin) for name, plugin in self.list_name_plugin() if plugin is not None][::-1]

    def compile(self, stage: str) -> Emit | None:
        """Compile a stage; its arguments go by position, in the specification's order."""
        caller: pluggy.HookCaller = getattr(self.hook, stage)
        spec = self.argnames(stage)
        impls = self.implementations(stage)
        if impls and (self._monitors or any(impl.wrapper or impl.hookwrapper for impl in impls)):
            return self._through_pluggy(caller, spec)
        return compile_stage(
            impls, spec, partial(self._failed, stage), lambda impl: self._instrumented(stage, impl)
        )

    def argnames(self, stage: str) -> tuple[str, ...]:
        """Name the arguments of a stage, in the order of its specification."""
        spec = getattr(self.hook, stage).spec
        return (*spec.argnames, *spec.kwargnames)

    def fire(self, stage: str, *args: Any) -> None:
        """Call a stage, its arguments by position."""
        emit = getattr(self.stages, stage)
        if emit is not None:
            emit(*args)

    def emit(self, stage: str, run: RunContext, arguments: dict[str, Any]) -> None:
        """Call a stage by name, with named arguments; ``run`` is added where it is offered."""
        if "run" in self.argnames(stage):
            arguments = {"run": run, **arguments}
        with self._notes(stage):
            getattr(self.hook, stage)(**arguments)

    def call_each_catching(
        self,
        stage: str,
        arguments: dict[str, Any],
        error: BaseException | None,
        *,
        backwards: bool = False,
    ) -> BaseException | None:
        """Call every implementation, whatever the others raise.

        The first error is returned, `error` counting as the first where there
        is one; each later one becomes a note on it.
        """
        impls = self.implementations(stage)
        for impl in reversed(impls) if backwards else impls:
            try:
                self._call_one(impl, arguments)
            except BaseException as late:
                if error is not None:
                    who = _validation.describe(impl)
                    error.add_note(f"then {who} raised in {stage}: {type(late).__name__}: {late}")
                elif not self._failed(stage, impl, late):
                    error = late
        return error

    @staticmethod
    def _call_one(impl: HookImpl, arguments: dict[str, Any]) -> None:
        given = (*impl.argnames, *impl.kwargnames)
        impl.function(**{name: value for name, value in arguments.items() if name in given})

    def _through_pluggy(self, caller: pluggy.HookCaller, spec: tuple[str, ...]) -> Emit:
        def emit(*args: Any) -> None:
            with self._notes(caller.name):
                caller(**dict(zip(spec, args, strict=True)))

        through: Any = emit
        through.reads_logs = True
        result: Emit = through
        return result

    @contextmanager
    def _notes(self, stage: str) -> Iterator[None]:
        """Note on an error that comes through pluggy who raised it."""
        try:
            yield
        except BaseException as error:
            impl = _validation.raised_by(error, self.implementations(stage))
            if impl is not None:
                self._note(stage, impl, error)
            raise

    def _instrumented(self, stage: str, impl: HookImpl) -> Callable[..., Any]:
        if self._instrument is None:
            return impl.function
        return self._instrument(stage, impl.plugin_name, impl.function)

    def _failed(self, stage: str, impl: HookImpl, error: BaseException) -> bool:
        """Note who failed; True when that plugin was taken out instead."""
        if isinstance(error, Exception) and _validation.error_policy(impl) == "disable":
            self._disable(stage, impl, error)
            return True
        self._note(stage, impl, error)
        return False

    def _disable(self, stage: str, impl: HookImpl, error: Exception) -> None:
        """Go on without a plugin that failed, with one warning that names it."""
        warnings.warn(
            f"{_validation.describe(impl)} failed in {self._where(stage)} and takes no further part: "
            f"{type(error).__name__}: {error}",
            OnstageWarning,
            stacklevel=2,
        )
        if not self.is_registered(impl.plugin):
            return
        closers = [closer for closer in self.implementations("on_teardown") if closer.plugin is impl.plugin]
        self.unregister(impl.plugin)
        self.disabled.append(impl.plugin_name)
        if stage != "on_teardown":
            for closer in closers:
                self._call_one(closer, {"run": self.run})

    def _note(self, stage: str, impl: HookImpl, error: BaseException) -> None:
        error.add_note(f"raised by {_validation.describe(impl)} in {self._where(stage)}")

    def _where(self, stage: str) -> str:
        return stage + (self.run.where() if self.run is not None else "")


def _rebuilt(specifications: list[Any], plugins: list[tuple[str, object]], disabled: list[str]) -> Bus:
    """Make a bus again, in the process that unpickles it."""
    bus = Bus()
    for specification in specifications:
        bus.add_hookspecs(specification)
    for name, plugin in reversed(plugins):
        bus.register(plugin, name)
    bus.disabled = disabled
    return bus
