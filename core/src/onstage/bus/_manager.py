"""Bus: the plugins of one run in call order, on a pluggy PluginManager.

All of pluggy's interface works: ``register``, ``unregister``,
``bus.hook.on_epoch_end(epoch=0, logs={…})``, wrappers, monitoring. The `Run`
uses `Bus.stages`: each stage compiled to one callable, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import pluggy
from pluggy import HookImpl, HookimplOpts

from onstage.bus import _classes, _names, _validation
from onstage.bus._compiler import Emit
from onstage.bus._failures import Failures
from onstage.bus._stages import CompiledStages, Instrument
from onstage.hookspecs import ALIASES, PROJECT, Stages
from onstage.registry import _hookspecs

if TYPE_CHECKING:
    from onstage.bus._hook_types import HookCalls
    from onstage.context import RunContext


class Bus(pluggy.PluginManager):
    """A pluggy PluginManager with onstage's stages and compiled calls.

    Parameters
    ----------
    plugins
        Plugins in call order.
    instrument
        Wraps every method that is called, to trace or to time it.

    Attributes
    ----------
    stages
        Compiled stages by name: a callable, or None if no plugin implements it.
    run
        The run that fires the stages, for messages; None without.
    disabled
        Names of the plugins that failed and were removed.

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
        hook: HookCalls  # type: ignore[assignment, misc]  # pluggy's relay, with typed stages

    def __init__(self, plugins: Iterable[object] = (), *, instrument: Instrument | None = None) -> None:
        super().__init__(PROJECT)
        self._failures = Failures(self)
        self.stages = CompiledStages(self, self._failures, instrument)
        self._specifications: list[Any] = [Stages]
        self._add_own_stages()
        self.run: RunContext | None = None
        self.disabled: list[str] = []
        self._monitors = 0
        plugins = _names.listed(plugins)
        for plugin in plugins:
            self._add_stages_of(plugin)
        # Reversed: pluggy calls the last registered first.
        named = _names.unique_names(plugins)
        for name, plugin in reversed(named):
            self.register(plugin, name)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle plugins with their names and order, and stages; not run, monitors or instrument."""
        return _rebuilt, (self._specifications[1:], self.plugins(), self.disabled)

    def register(self, plugin: object, name: str | None = None) -> str | None:
        """Register a plugin; as in pluggy, it is called before the earlier ones.

        Return its name, or None if the name is blocked.

        Raises
        ------
        TypeError
            If the plugin is a class or implements no stage, or if the name of
            a stage or of an argument is unknown; the message has the closest.
        ValueError
            If the plugin or its name is already registered.
        """
        if plugin is None:
            return None
        self._add_stages_of(plugin)
        found = _classes.implementations(plugin, self)
        name = name or _validation.free_name(plugin, self)
        if name in self._name2plugin or self.is_registered(plugin):
            return super().register(plugin, name)  # refuses it
        # pluggy's own search reads every attribute, which would be most of the time that a run takes.
        impls = [
            HookImpl(plugin, name, each.adapter or getattr(plugin, each.name), each.opts) for each in found
        ]
        callers: dict[str, pluggy.HookCaller] = vars(self.hook)
        for each, impl in zip(found, impls, strict=True):
            if each.stage not in callers:  # an optional one, whose package may be installed later
                callers[each.stage] = pluggy.HookCaller(each.stage, self._hookexec)
            elif callers[each.stage].has_spec() and each.adapter is None:
                self._verify_hook(callers[each.stage], impl)
        self._name2plugin[name] = plugin
        for each, impl in zip(found, impls, strict=True):
            if callers[each.stage].has_spec():
                callers[each.stage]._maybe_apply_history(impl)
            callers[each.stage]._add_hookimpl(impl)
        self.stages.invalidate()
        return name

    def unregister(self, plugin: object | None = None, name: str | None = None) -> Any:
        """Remove a plugin and return it; a call in progress still reaches it."""
        gone = super().unregister(plugin, name)
        self.stages.invalidate()
        return gone

    def get_hookcallers(self, plugin: object) -> list[pluggy.HookCaller] | None:
        """Return the hook callers of a plugin, each once even if it has two names."""
        found = super().get_hookcallers(plugin)
        return None if found is None else list(dict.fromkeys(found))

    def add_hookspecs(self, module_or_class: Any) -> None:
        """Add stages, to be fired by ``run.emit("on_my_stage", …)``.

        Parameters
        ----------
        module_or_class
            Has methods marked with ``@onstage.hookspec``.
        """
        super().add_hookspecs(module_or_class)
        self._specifications.append(module_or_class)
        callers: dict[str, Any] = vars(self.hook)
        self._stage_names = {name: None for name, caller in callers.items() if caller.has_spec()}
        self.stages.offer(self._stage_names)
        self.stages.invalidate()

    def _add_own_stages(self) -> None:
        """Add onstage's stages, whose specifications all buses share: reading them takes 0.2 ms."""
        specifications = _own_specifications()
        callers: dict[str, pluggy.HookCaller] = vars(self.hook)
        for name, spec in specifications.items():
            caller = callers[name] = pluggy.HookCaller(name, self._hookexec)
            caller.spec = spec
        callers.update({alias: callers[stage] for alias, stage in ALIASES.items()})
        self._stage_names = dict.fromkeys(specifications)

    def _add_stages_of(self, plugin: object) -> None:
        """Add the stages that a plugin brings, before plugins that implement them are checked."""
        stages = getattr(plugin, "hookspecs", None)
        if stages is not None and stages not in self._specifications:
            self.add_hookspecs(stages)

    def find_stage(self, name: str) -> bool:
        """Return whether there is a stage; one that an installed package brings is added first."""
        if not self.is_stage(name):
            specification = _hookspecs.load_stage(name)
            if specification is not None and specification not in self._specifications:
                self.add_hookspecs(specification)
        return self.is_stage(name)

    def add_hookcall_monitoring(self, before: Any, after: Any) -> Callable[[], None]:
        """Watch every call until the returned function is called; pluggy makes them meanwhile."""
        undo = super().add_hookcall_monitoring(before, after)
        self._monitors += 1
        self.stages.invalidate()

        def stop_monitoring() -> None:
            undo()
            self._monitors -= 1
            self.stages.invalidate()

        return stop_monitoring

    @property
    def monitored(self) -> bool:
        """Whether calls are being monitored."""
        return self._monitors > 0

    def parse_hookimpl_opts(self, plugin: object, name: str) -> HookimplOpts | None:
        """Return the options of a method that implements a stage, marked or not; else None."""
        if not _validation.implements(plugin, name, self.is_stage):
            return None
        return super().parse_hookimpl_opts(plugin, name) or _validation.default_hookimpl_opts()

    def is_stage(self, name: str) -> bool:
        """Return whether a hook of this name has a specification."""
        return name in self._stage_names

    def stage_names(self) -> list[str]:
        """Return the names of the stages; those that plugins added are last."""
        return list(self._stage_names)

    def implementations(self, stage: str) -> list[HookImpl]:
        """Return the implementations of a stage in call order."""
        caller: pluggy.HookCaller = getattr(self.hook, stage)
        return caller.get_hookimpls()[::-1]

    def plugins(self) -> list[tuple[str, object]]:
        """Return names and plugins in call order."""
        return [(name, plugin) for name, plugin in self.list_name_plugin() if plugin is not None][::-1]

    def argnames(self, stage: str) -> tuple[str, ...]:
        """Return the arguments of a stage in the order of its specification."""
        spec = getattr(self.hook, stage).spec
        return (*spec.argnames, *spec.kwargnames)

    def compiled(self, stage: str) -> Emit | None:
        """Return the compiled call of a stage; None if no plugin implements it."""
        emit: Emit | None = getattr(self.stages, stage)
        return emit

    def fire(self, stage: str, *args: Any) -> None:
        """Call a stage with arguments by position."""
        emit = self.compiled(stage)
        if emit is not None:
            emit(*args)

    def emit(self, stage: str, run: RunContext, arguments: dict[str, Any]) -> Any:
        """Call a stage with arguments by name, return its results; add ``run`` if the stage offers it."""
        if "run" in self.argnames(stage):
            arguments = {"run": run, **arguments}
        with self._failures.noted(stage):
            return getattr(self.hook, stage)(**arguments)

    def call_each_catching(
        self,
        stage: str,
        arguments: dict[str, Any],
        error: BaseException | None,
        *,
        backwards: bool = False,
    ) -> BaseException | None:
        """Call every implementation even if others raise; return the first error.

        `error`, if not None, counts as the first. Each later error becomes a
        note on the first.
        """
        return self._failures.call_each(stage, arguments, error, backwards=backwards)


@cache
def _own_specifications() -> dict[str, Any]:
    """Return the specification of each of onstage's stages."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Stages)
    CompiledStages.offer(vars(manager.hook))
    return {name: caller.spec for name, caller in vars(manager.hook).items()}


def _rebuilt(specifications: list[Any], plugins: list[tuple[str, object]], disabled: list[str]) -> Bus:
    """Make the bus again when it is unpickled."""
    bus = Bus()
    for specification in specifications:
        bus.add_hookspecs(specification)
    for name, plugin in reversed(plugins):
        bus.register(plugin, name)
    bus.disabled = disabled
    return bus
