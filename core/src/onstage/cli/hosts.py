"""``onstage hosts``: list the adapters for other trainers, and what each lacks."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout

import click

from onstage.cli.output import echo
from onstage.errors import PluginError, did_you_mean
from onstage.registry import _discovery
from onstage.registry._config import settings
from onstage.registry._discovery import Plugin
from onstage.registry._plugin import HOSTS
from onstage.reporting._formatting import format_table


@click.command()
@click.argument("name", required=False)
def hosts(name: str | None) -> None:
    """List the adapters for other trainers, or what callbacks can't have in NAME.

    The list imports nothing; NAME imports that adapter and its trainer.
    """
    found = _discovery.installed(HOSTS, settings().disable)
    if name is not None:
        _show(_named(name, found))
    elif found:
        rows = [(one.name, one.value, one.distribution, one.version or "?", one.status) for one in found]
        echo(format_table(("name", "adapter", "distribution", "version", "status"), rows))
    else:
        echo("No adapter for another trainer is installed; try `pip install onstage-lightning`.")


def _named(name: str, found: list[Plugin]) -> Plugin:
    for plugin in found:
        if plugin.name == name:
            return plugin
    known = [plugin.name for plugin in found]
    raise PluginError(f"no adapter is called {name!r}{did_you_mean(name, known)}")


def _show(plugin: Plugin) -> None:
    with redirect_stdout(sys.stderr):  # a trainer may print when it is imported
        adapter = plugin.load()
    host = getattr(adapter, "host", plugin.name)
    lacks: Mapping[str, str] = getattr(adapter, "lacks", {})
    echo(f"{host}, by {plugin.value} of {plugin.distribution} {plugin.version}\n")
    if lacks:
        echo("A callback with one of these needs is refused:\n")
        echo(format_table(("need", "instead"), sorted(lacks.items())))
    else:
        echo("Every need is offered to callbacks.")
