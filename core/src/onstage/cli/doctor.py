"""``onstage doctor``: show versions, settings and plugins, and report problems."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib import metadata
from pathlib import Path

import click
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

import onstage
from onstage.cli.output import echo
from onstage.errors import PluginError, SettingsError, show_error, show_text
from onstage.registry import _discovery, _selection
from onstage.registry._config import VARIABLES, Settings, settings
from onstage.registry._discovery import AUTOUSE, CALLBACKS, COMMANDS, Plugin
from onstage.registry._distributions import canonicalize_name
from onstage.registry._factory import check_options, defaults_for, load_factory
from onstage.reporting._formatting import format_table

_GROUPS = (CALLBACKS, AUTOUSE, COMMANDS)

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
@click.pass_context
def doctor(ctx: click.Context) -> None:
    """Show versions and settings, import every plugin, and report problems.

    Exits with 1 if there are problems.
    """
    problems: list[str] = []
    echo(f"{_versions()}\n")
    try:
        chosen = settings()
        problems += _problems_of_settings(chosen)
    except SettingsError as error:
        chosen = Settings()
        problems.append(f"settings: {error}")
    echo(f"{_format_settings(chosen)}\n")
    problems += _problems_of_plugins(chosen)
    echo(f"{_format_plugins(chosen)}\n")
    if not problems:
        echo("No problems found.")
        return
    echo(f"{len(problems)} problem{'s' if len(problems) > 1 else ''}:")
    for problem in problems:
        echo(f"  - {problem}")
    ctx.exit(1)


def _versions() -> str:
    rows = [("Python", platform.python_version(), sys.executable), ("onstage-core", onstage.__version__, "")]
    rows += [(name, metadata.version(name), "") for name in ("pluggy", "numpy", "click", "packaging")]
    return format_table(("package", "version", "location"), rows)


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


def _format_plugins(chosen: Settings) -> str:
    found = [plugin for group in _GROUPS for plugin in _discovery.installed(group, chosen.disable)]
    rows = [(one.name, one.group, one.distribution, one.version or "?", _state(one)) for one in found]
    return format_table(("plugin", "group", "distribution", "version", "state"), rows)


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
                yield from _problems_of_requirements(plugin)


def _problems_of_requirements(plugin: Plugin) -> Iterator[str]:
    """Yield a problem if a distribution requires another version of the core."""
    found = metadata.Distribution.at(Path(plugin.location))
    for text in found.requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            shown = show_text(text)
            yield f"{plugin.distribution} has the invalid requirement {shown!r}: {show_error(error)}"
            continue
        if canonicalize_name(requirement.name) == "onstage-core" and not admits_core(requirement):
            yield f"{plugin.distribution} requires {show_text(text)}, installed is {onstage.__version__}"


def admits_core(requirement: Requirement, version: str = onstage.__version__) -> bool:
    """Return whether a requirement on the core admits the installed version.

    A pre-release counts as the release that it precedes: whoever has installed
    1.0rc1 wants to try it with the plugins for 1.0.
    """
    applies = requirement.marker is None or requirement.marker.evaluate()
    return not applies or requirement.specifier.contains(Version(version).base_version, prereleases=True)


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
