"""The command line: ``onstage callbacks | order | doctor | new | demo``.

A plugin adds a command by the entry-point group ``onstage.cli``. Each command,
ours too, is imported when it is called and no sooner: a broken one breaks
itself alone, and a list of plugins doesn't wait for numpy.
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

_OWN = {
    "callbacks": "List the installed plugins, or show one.",
    "order": "Who acts at a stage, in which order and why.",
    "doctor": "What is installed and set, and what is wrong.",
    "new": "Write a package with a callback of your own.",
    "demo": "A short training that shows its stages.",
}


class _LazyCommand(click.Command):
    """Stands for a command until it is called."""

    def __init__(self, name: str, summary: str, load: Callable[[], click.Command]) -> None:
        super().__init__(name, help=summary)
        self._load = load

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        return self._load().make_context(info_name, args, parent=parent, **extra)


class _Commands(click.Group):
    """Our commands, and those that plugins add; ours win over the same name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_OWN, *sorted(set(_added()) - set(_OWN))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _OWN:
            return _LazyCommand(cmd_name, _OWN[cmd_name], lambda: _own(cmd_name))
        plugin = _added().get(cmd_name)
        if plugin is None:
            return None
        state = "" if plugin.status == "installed" else f" ({plugin.status})"
        return _LazyCommand(
            cmd_name, f"From {plugin.distribution} {plugin.version}{state}.", lambda: _of_plugin(plugin)
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
        except OnstageError as error:  # of the user's making: the message suffices
            raise click.ClickException(str(error)) from error


def _own(name: str) -> click.Command:
    command: click.Command = getattr(import_module(f"onstage.cli.{name}"), name)
    return command


def _of_plugin(plugin: Plugin) -> click.Command:
    command = plugin.load()
    if not isinstance(command, click.Command):
        raise PluginError(f"{plugin.label} must be a click command, got {type(command).__name__}")
    return command


def _added() -> dict[str, Plugin]:
    try:
        blocked = settings().disable
    except SettingsError:  # `onstage doctor` must be able to say so
        blocked = ()
    found = _discovery.installed(COMMANDS, blocked)
    return {plugin.name: plugin for plugin in found if plugin.status not in ("blocked", "shadowed")}


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(onstage.__version__, prog_name="onstage")
def main() -> None:
    """Training callbacks as plugins: see what is installed, and why it acts."""
