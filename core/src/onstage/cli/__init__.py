"""The command line: ``onstage callbacks | order | hosts | doctor | new | demo``.

Plugins add commands with the entry-point group ``onstage.cli``. Every command is
imported when it is called: a broken one does not affect the others, and listing
plugins does not import numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import click

import onstage
from onstage.errors import OnstageError, PluginError, SettingsError, did_you_mean
from onstage.registry import _discovery
from onstage.registry._config import settings
from onstage.registry._discovery import COMMANDS, Plugin

_BUILT_IN = {
    "callbacks": "List the installed plugins, or describe one.",
    "order": "List the callbacks of a stage in the order of their calls.",
    "hosts": "List the adapters for other trainers, and what each lacks.",
    "doctor": "Show versions, settings and plugins, and report problems.",
    "new": "Write a package with a new callback.",
    "demo": "Train a small network and print the stages.",
}


class _LazyCommand(click.Command):
    """Placeholder of a command, which is imported when it is called."""

    def __init__(self, name: str, summary: str, load: Callable[[], click.Command]) -> None:
        super().__init__(name, help=summary)
        self._load = load

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        return self._load().make_context(info_name, args, parent=parent, **extra)


class _Commands(click.Group):
    """The built-in commands and those of plugins; a built-in name can't be replaced."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_BUILT_IN, *sorted(set(_plugin_commands()) - set(_BUILT_IN))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _BUILT_IN:
            return _LazyCommand(cmd_name, _BUILT_IN[cmd_name], lambda: _built_in(cmd_name))
        plugin = _plugin_commands().get(cmd_name)
        if plugin is None:
            return None
        state = "" if plugin.status == "installed" else f" ({plugin.status})"
        return _LazyCommand(
            cmd_name, f"From {plugin.distribution} {plugin.version}{state}.", lambda: _from_plugin(plugin)
        )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-"):
            ctx.fail(f"no command is called {args[0]!r}{did_you_mean(args[0], known)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OnstageError as error:  # a mistake of the user: no traceback
            raise click.ClickException(str(error)) from error


def _built_in(name: str) -> click.Command:
    command: click.Command = getattr(import_module(f"onstage.cli.{name}"), name)
    return command


def _from_plugin(plugin: Plugin) -> click.Command:
    command = plugin.load()
    if not isinstance(command, click.Command):
        raise PluginError(f"{plugin.label} must be a click command, got {type(command).__name__}")
    return command


def _plugin_commands() -> dict[str, Plugin]:
    try:
        blocked = settings().disable
    except SettingsError:  # reported by `onstage doctor`
        blocked = ()
    found = _discovery.installed(COMMANDS, blocked)
    return {plugin.name: plugin for plugin in found if plugin.status not in ("blocked", "shadowed")}


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(onstage.__version__, prog_name="onstage")
def main() -> None:
    """Inspect the training callbacks that are installed as plugins."""
