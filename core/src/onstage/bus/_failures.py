"""Handle the error of a plugin: note its name on the error, or remove the plugin."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from pluggy import HookImpl

from onstage.bus._arguments import code_of, method_of
from onstage.context import PluginRegistry, RunContext
from onstage.errors import warn

RETRIES = 3
"""Errors in a row that end a training under ``on_error = "retry"``."""


class FailingRegistry(PluginRegistry, Protocol):
    """The plugins of a run, and the names of those that were removed."""

    run: RunContext | None
    disabled: list[str]


class Failures:
    """Handles errors by the policy of each plugin, see `onstage.Callback.on_error`."""

    def __init__(self, plugins: FailingRegistry) -> None:
        self._plugins = plugins

    def handle(self, stage: str, impl: HookImpl, error: BaseException) -> bool:
        """Note on the error who raised it; or warn, by the policy of the plugin, and return True."""
        policy = _error_policy(impl) if isinstance(error, Exception) else "raise"
        if isinstance(error, Exception) and policy == "disable":
            self._disable(stage, impl, error)
            return True
        if isinstance(error, OSError) and policy == "retry" and self._may_retry(impl.plugin):
            self._warn(stage, impl, error, "and tries again the next time")
            return True
        self._note(stage, impl, error)
        return False

    @contextmanager
    def noted(self, stage: str) -> Iterator[None]:
        """Note on an error of a call through pluggy who raised it."""
        try:
            yield
        except BaseException as error:
            impl = _raised_by(error, self._plugins.implementations(stage))
            if impl is not None:
                self._note(stage, impl, error)
            raise

    def call_each(
        self,
        stage: str,
        arguments: dict[str, Any],
        error: BaseException | None,
        *,
        backwards: bool = False,
    ) -> BaseException | None:
        """Call every implementation even if others raise; see `Bus.call_each_catching`."""
        impls = self._plugins.implementations(stage)
        for impl in reversed(impls) if backwards else impls:
            try:
                _call(impl, arguments)
            except BaseException as late:
                if error is not None:
                    who = _describe(impl)
                    error.add_note(f"then {who} raised in {stage}: {type(late).__name__}: {late}")
                elif not self.handle(stage, impl, late):
                    error = late
        return error

    def _disable(self, stage: str, impl: HookImpl, error: Exception) -> None:
        """Warn that a plugin failed, tear it down and remove it."""
        self._warn(stage, impl, error, "and takes no further part")
        plugins = self._plugins
        if not plugins.is_registered(impl.plugin):
            return
        closers = [
            closer for closer in plugins.implementations("on_teardown") if closer.plugin is impl.plugin
        ]
        plugins.unregister(impl.plugin)
        plugins.disabled.append(impl.plugin_name)
        if stage != "on_teardown":
            for closer in closers:
                try:
                    _call(closer, {"run": plugins.run})
                except Exception as late:
                    self._warn("on_teardown", closer, late, "too")

    def _may_retry(self, plugin: Any) -> bool:
        """Count an error of a plugin that has succeeded before; return whether there may be another one."""
        if getattr(plugin, "failures", None) is None:
            return False
        plugin.failures += 1
        return bool(plugin.failures < RETRIES)

    def _warn(self, stage: str, impl: HookImpl, error: Exception, outcome: str) -> None:
        warn(f"{_describe(impl)} failed in {self._where(stage)} {outcome}: {type(error).__name__}: {error}")

    def _note(self, stage: str, impl: HookImpl, error: BaseException) -> None:
        error.add_note(f"raised by {_describe(impl)} in {self._where(stage)}")

    def _where(self, stage: str) -> str:
        run = self._plugins.run
        return stage + (run.where() if run is not None else "")


def _call(impl: HookImpl, arguments: dict[str, Any]) -> None:
    given = (*impl.argnames, *impl.kwargnames)
    impl.function(**{name: value for name, value in arguments.items() if name in given})


def _describe(impl: HookImpl) -> str:
    """Return the plugin's name, distribution, version and setting for a message."""
    from onstage.registry._discovery import provenance  # imported late: it reads the installed packages
    from onstage.registry._factory import source_of

    _, distribution, version = provenance(impl.plugin)
    where = f" ({distribution} {version})" if distribution else ""
    source = source_of(impl.plugin)
    return f"callback {impl.plugin_name}{where}" + (f", added by {source}," if source else "")


def _error_policy(impl: HookImpl) -> str:
    """Return the error policy of a plugin, by its class and the user's settings."""
    from onstage.registry._selection import error_policy  # imported late: it reads the settings

    return error_policy(impl.plugin)


def _raised_by(error: BaseException, impls: Sequence[HookImpl]) -> HookImpl | None:
    """Return the implementation that raised an error, found by the traceback."""
    codes = [(impl, {id(code_of(impl.function)), id(code_of(method_of(impl)))}) for impl in impls]
    deepest = None  # the traceback also contains wrappers around the one that failed
    trace = error.__traceback__
    while trace is not None:
        for impl, own in codes:
            if id(trace.tb_frame.f_code) in own and _plugin_of(trace.tb_frame, impl):
                deepest = impl
        trace = trace.tb_next
    return deepest


def _plugin_of(frame: types.FrameType, impl: HookImpl) -> bool:
    owner = frame.f_locals.get("self")
    return owner is None or owner is impl.plugin
