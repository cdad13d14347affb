"""``onstage doctor``: show versions, settings and plugins, and report problems."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib import metadata
from pathlib import Path
from typing import Any

import click

import onstage
from onstage.cli.environment import problems_of_blas, problems_of_bundle, problems_of_requirements
from onstage.cli.output import echo
from onstage.errors import PluginError, SettingsError, show_text
from onstage.registry import _discovery, _selection
from onstage.registry._config import VARIABLES, Settings, settings
from onstage.registry._discovery import AUTOUSE, CALLBACKS, COMMANDS, HOOKSPECS, Plugin
from onstage.registry._factory import check_options, defaults_for, load_factory
from onstage.reporting._formatting import format_table

_GROUPS = (CALLBACKS, AUTOUSE, COMMANDS, HOOKSPECS)

_PLUGIN_COLUMNS = ("plugin", "group", "distribution", "version", "state")

_MEANING = {
    "callbacks": "added to every run",
    "disable": "blocked before import",
    "autouse": "use plugins of the group onstage.autouse",
    "allow_import": "allow 'module:Class' in place of a name",
    "trace": "print every call of a callback",
    "profile": "print the cost of each callback at the end",
    "options": "defaults of callbacks created by name",
    "on_error": "overrides the plugins' own policy",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Show versions and settings, import every plugin, and report problems.

    Exits with 1 if there are problems.
    """
    problems: list[str] = []
    try:
        chosen = settings()
        problems += _problems_of_settings(chosen)
    except SettingsError as error:
        chosen = Settings()
        problems.append(f"settings: {error}")
    problems += [*_problems_of_plugins(chosen), *problems_of_bundle(), *problems_of_blas()]
    problems = list(dict.fromkeys(problems))
    if as_json:
        echo(json.dumps(_record(chosen, problems), indent=2))
    else:
        for part in (_format_versions(), _format_settings(chosen), _format_plugins(chosen)):
            echo(f"{part}\n")
        echo(_format_problems(problems))
    if problems:
        ctx.exit(1)


def _record(chosen: Settings, problems: list[str]) -> dict[str, Any]:
    return {
        "versions": {name: version for name, version, _ in _versions()},
        "settings_file": str(chosen.file) if chosen.file else None,
        "settings": {
            name: {
                "value": _format_value(getattr(chosen, name)),
                "set_by": chosen.sources.get(name, "default"),
            }
            for name in _MEANING
        },
        "plugins": [dict(zip(_PLUGIN_COLUMNS, row, strict=True)) for row in _plugin_rows(chosen)],
        "problems": problems,
    }


def _format_problems(problems: list[str]) -> str:
    if not problems:
        return "No problems found."
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}:"
    return "\n".join([count, *(f"  - {problem}" for problem in problems)])


def _versions() -> list[tuple[str, str, str]]:
    rows = [("Python", platform.python_version(), sys.executable), ("onstage-core", onstage.__version__, "")]
    return rows + [(name, metadata.version(name), "") for name in ("pluggy", "numpy", "click", "packaging")]


def _format_versions() -> str:
    return format_table(("package", "version", "location"), _versions())


def _format_settings(chosen: Settings) -> str:
    where = (
        f"Settings, from {chosen.file}:"
        if chosen.file
        else "Settings; no [tool.onstage] table in this project:"
    )
    rows = [
        (name, _format_value(getattr(chosen, name)), chosen.sources.get(name, "default"), meaning)
        for name, meaning in _MEANING.items()
    ]
    unset = [name for name in VARIABLES if not _is_set(name, chosen)]
    lines = [
        where,
        "",
        format_table(("setting", "value", "set by", "meaning"), rows),
        "",
        f"Not set: {', '.join(unset)}",
    ]
    absent = [f"{name} ({setting})" for setting, name in _selection.unknown_names(chosen)]
    return "\n".join([*lines, *([f"Named but not installed: {', '.join(absent)}"] if absent else [])])


def _format_value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(one if isinstance(one, str) else one[0] for one in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(dict(value)) if value else "none"  # type: ignore[call-overload]  # a mapping


def _is_set(variable: str, chosen: Settings) -> bool:
    return variable in chosen.sources.get(VARIABLES[variable], "").split(", ")


def _plugin_rows(chosen: Settings) -> list[tuple[str, ...]]:
    found = [plugin for group in _GROUPS for plugin in _discovery.installed(group, chosen.disable)]
    return [(one.name, one.group, one.distribution, one.version or "?", _state(one)) for one in found]


def _format_plugins(chosen: Settings) -> str:
    return format_table(_PLUGIN_COLUMNS, _plugin_rows(chosen))


def _state(plugin: Plugin) -> str:
    if plugin.status != "installed":
        return plugin.status
    return "broken" if _failure(plugin) else "works"


def _failure(plugin: Plugin) -> str:
    """Import a plugin and return its problem, or an empty string."""
    try:
        with redirect_stdout(sys.stderr):
            target = plugin.load()
    except PluginError as error:
        return str(error)
    if plugin.group == COMMANDS and not isinstance(target, click.Command):
        return f"{plugin.label} must be a click command, got {type(target).__name__}"
    return ""


def _problems_of_plugins(chosen: Settings) -> Iterator[str]:
    seen = set()
    for group in _GROUPS:
        for plugin in _discovery.installed(group, chosen.disable):
            if plugin.status == "installed" and (failure := _failure(plugin)):
                yield failure
            elif plugin.status not in ("installed", "blocked"):
                yield f"{plugin.label} can't be used: {plugin.reason}"
            if plugin.distribution not in seen and plugin.status not in ("shadowed", "blocked"):
                seen.add(plugin.distribution)
                found = metadata.Distribution.at(Path(plugin.location))
                yield from problems_of_requirements(plugin.distribution, found)


def _problems_of_settings(chosen: Settings) -> Iterator[str]:
    if chosen.ignored_file:
        yield chosen.ignored_file
    try:
        _selection.refuse_misspelled_names(chosen)
    except SettingsError as error:
        yield str(error)
    for name, options in chosen.callbacks:
        yield from _problems_of_options(name, {**options}, chosen, complete=True)
    for name in chosen.options:
        if name not in dict(chosen.callbacks) and ("options", name) not in _selection.unknown_names(chosen):
            yield from _problems_of_options(name, {}, chosen, complete=False)


def _problems_of_options(
    name: str, options: dict[str, object], chosen: Settings, complete: bool
) -> Iterator[str]:
    setting = "callbacks" if complete else "options"
    try:
        if ":" not in name:
            plugin = _discovery.find(name, CALLBACKS, chosen.disable)
            if plugin.status != "installed" or _failure(plugin):
                return  # reported among the plugins, or blocked
            options = {**defaults_for(plugin, chosen), **options}
        check_options(name, load_factory(name, chosen), options, complete=complete)
    except (PluginError, TypeError) as error:
        yield f"{chosen.sources[setting]}: {setting}: {show_text(error, limit=2000)}"
