"""Handle the error of a plugin: note its name on the error, or remove the plugin."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from pluggy import HookImpl

from onstage.bus import _validation
from onstage.context import PluginRegistry, RunContext
from onstage.errors import OnstageWarning


class FailingRegistry(PluginRegistry, Protocol):
    """The plugins of a run, and the names of those that were removed."""

    run: RunContext | None
    disabled: list[str]


class Failures:
    """Handles errors by the policy of each plugin, see `onstage.Callback.on_error`."""

    def __init__(self, plugins: FailingRegistry) -> None:
        self._plugins = plugins

    def handle(self, stage: str, impl: HookImpl, error: BaseException) -> bool:
        """Note on the error who raised it; or remove the plugin and return True."""
        if isinstance(error, Exception) and _validation.error_policy(impl) == "disable":
            self._disable(stage, impl, error)
            return True
        self._note(stage, impl, error)
        return False

    @contextmanager
    def noted(self, stage: str) -> Iterator[None]:
        """Note on an error of a call through pluggy who raised it."""
        try:
            yield
        except BaseException as error:
            impl = _validation.raised_by(error, self._plugins.implementations(stage))
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
                    who = _validation.describe(impl)
                    error.add_note(f"then {who} raised in {stage}: {type(late).__name__}: {late}")
                elif not self.handle(stage, impl, late):
                    error = late
        return error

    def _disable(self, stage: str, impl: HookImpl, error: Exception) -> None:
        """Warn that a plugin failed, tear it down and remove it."""
        warnings.warn(
            f"{_validation.describe(impl)} failed in {self._where(stage)} and takes no further part: "
            f"{type(error).__name__}: {error}",
            OnstageWarning,
            stacklevel=2,
        )
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
                _call(closer, {"run": plugins.run})

    def _note(self, stage: str, impl: HookImpl, error: BaseException) -> None:
        error.add_note(f"raised by {_validation.describe(impl)} in {self._where(stage)}")

    def _where(self, stage: str) -> str:
        run = self._plugins.run
        return stage + (run.where() if run is not None else "")


def _call(impl: HookImpl, arguments: dict[str, Any]) -> None:
    given = (*impl.argnames, *impl.kwargnames)
    impl.function(**{name: value for name, value in arguments.items() if name in given})
