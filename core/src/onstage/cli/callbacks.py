"""``onstage callbacks``: list the installed plugins, or describe one."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import Any

import click

from onstage.cli.local import find_local
from onstage.cli.output import echo
from onstage.errors import PluginError
from onstage.registry import _discovery
from onstage.registry._config import Settings, settings
from onstage.registry._discovery import AUTOUSE, CALLBACKS, COMMANDS, HOOKSPECS, Plugin
from onstage.reporting._formatting import format_table

_TITLES = {
    CALLBACKS: "Callbacks, active when requested:",
    AUTOUSE: "Active in every run:",
    COMMANDS: "Commands added to `onstage`:",
    HOOKSPECS: "Stages added by packages:",
}


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with stages and options.")
def callbacks(name: str | None, as_json: bool) -> None:
    """List the installed plugins, or describe the callback NAME.

    The list imports no plugin, so that it can't detect broken ones;
    `onstage doctor` imports each. NAME, which may be module:Class with a module
    of the current folder, and --json import the plugins that they describe.
    """
    chosen = settings()
    if name is not None:
        plugin = find_local(name) if ":" in name else _discovery.find(name, CALLBACKS, chosen.disable)
        _show(plugin, chosen, as_json)
        return
    groups = {group: _discovery.installed(group, chosen.disable) for group in _TITLES}
    if as_json:
        echo(_json([_record(plugin, chosen) for plugins in groups.values() for plugin in plugins]))
        return
    for group, plugins in groups.items():
        if plugins:
            echo(f"{_TITLES[group]}\n\n{_format_list(plugins)}\n")
    if not groups[CALLBACKS]:
        echo("No callbacks are installed; try `pip install onstage`.")


def _format_list(plugins: list[Plugin]) -> str:
    rows = [
        (one.name, one.attribute or one.value, one.distribution, one.version or "?", one.status)
        for one in plugins
    ]
    text = format_table(("name", "class", "distribution", "version", "status"), rows)
    reasons = [f"{one.name} ({one.distribution}): {one.reason}" for one in plugins if one.reason]
    return "\n".join([text, *([""] if reasons else []), *reasons])


def _show(plugin: Plugin, chosen: Settings, as_json: bool) -> None:
    record = _record(plugin, chosen)
    if as_json:
        echo(_json(record))
    else:
        echo(_format_record(plugin, record))
    if record["status"] != "installed":
        sys.exit(1)


def _record(plugin: Plugin, chosen: Settings) -> dict[str, Any]:
    from onstage.registry._factory import defaults_for

    description, status, reason = _description(plugin)
    return {
        "name": plugin.name,
        "class": plugin.attribute,
        "value": plugin.value,
        "group": plugin.group,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "location": plugin.location,
        "status": status,
        "reason": reason,
        **description,
        "settings": {name: repr(value) for name, value in defaults_for(plugin, chosen).items()},
    }


def _description(plugin: Plugin) -> tuple[dict[str, Any], str, str]:
    empty = {"summary": "", "stages": [], "options": []}
    if plugin.status != "installed":
        return empty, plugin.status, plugin.reason
    from onstage.cli.describe import describe  # imported late: the list needs no numpy

    try:
        with redirect_stdout(sys.stderr):  # a plugin may print when imported
            return asdict(describe(plugin)), plugin.status, ""
    except PluginError as error:
        return empty, "broken", str(error)


def _format_record(plugin: Plugin, record: dict[str, Any]) -> str:
    stages = ", ".join(record["stages"]) or "known once it is created"
    reason = f": {record['reason']}" if record["reason"] else ""
    facts = [
        ("summary", record["summary"]),
        ("target", plugin.value),
        ("from", f"{plugin.distribution} {plugin.version}"),
        ("location", plugin.location),
        ("status", record["status"] + reason),
        ("stages", stages if record["status"] == "installed" else ""),
    ]
    lines = [plugin.name, *(f"  {label:<12}{text}" for label, text in facts if text)]
    if record["options"]:
        lines += ["", *(f"  {line}" for line in _format_options(record).splitlines())]
    return "\n".join(lines)


def _format_options(record: dict[str, Any]) -> str:
    configured = record["settings"]
    header = ("option", "default", "setting", "meaning") if configured else ("option", "default", "meaning")
    rows = []
    for one in record["options"]:
        setting = (configured.get(one["name"], ""),) if configured else ()
        rows.append((one["name"], one["default"] or "(required)", *setting, one["doc"]))
    return format_table(header, rows)


def _json(value: object) -> str:
    return json.dumps(value, indent=2)
