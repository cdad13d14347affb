"""Settings from ``[tool.onstage]`` in pyproject.toml and ``ONSTAGE_*`` variables.

The file is the project's pyproject.toml: the nearest one from the current folder
upward, not above a folder with ``.git`` nor above the user's home. A file of
another user, or one that every user may write, is ignored with a warning::

    [tool.onstage]
    callbacks = ["csv_logger", {early_stopping = {patience = 3}}]   # added to every run
    disable = ["tensorboard"]            # entry points, classes or distributions
    autouse = true                       # plugins of the group onstage.autouse
    trace = false                        # print every call of a callback
    profile = false                      # print the cost of each callback at the end

    [tool.onstage.options]               # defaults of callbacks created by name
    csv_logger = {filename = "log.csv"}

    [tool.onstage.on_error]              # "raise", "disable" or "retry"; overrides the plugin's own
    remote_monitor = "raise"

============================  =================================================
``ONSTAGE_CALLBACKS``         comma-separated names, added to every run
``ONSTAGE_DISABLE``           comma-separated names, blocked besides ``disable``
``ONSTAGE_AUTOUSE``           ``0`` or ``1``, overrides ``autouse``
``ONSTAGE_ALLOW_IMPORT``      ``1`` allows "module:Class" in place of a name. The
                              file can't set ``allow_import``: it must not choose
                              the code to import
``ONSTAGE_TRACE``             the same for ``trace``
``ONSTAGE_PROFILE``           the same for ``profile``
============================  =================================================

**Precedence**: an argument in code, then the environment, then pyproject.toml,
then the plugin's own default. The lists add up: both of ``callbacks``, both of
``disable``. Blocking wins over everything: a blocked callback takes part in no
run. If a setting names it, it is left out silently; if code passes its name or
an instance, it is left out with an `OnstageWarning`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from onstage.errors import SettingsError, did_you_mean, show_text, warn
from onstage.registry._settings_file import Stamp, find_settings_file, read_settings_file

Options = Mapping[str, Any]
Policy = Literal["raise", "disable", "retry"]


@dataclass(frozen=True, eq=False)
class Settings:
    """Validated settings of pyproject.toml and the environment."""

    callbacks: tuple[tuple[str, Options], ...] = ()
    """``(name, options)`` to add to every run."""
    disable: tuple[str, ...] = ()
    autouse: bool = True
    allow_import: bool = False
    trace: bool = False
    profile: bool = False
    options: Mapping[str, Options] = field(default_factory=dict)
    """Default options by entry point."""
    on_error: Mapping[str, Policy] = field(default_factory=dict)
    file: Path | None = None
    """The pyproject.toml that was read; None if there is no table."""
    ignored_file: str = ""
    """The pyproject.toml that is not trusted, and why; empty if there is none."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Origin of each setting that was set: a path, a variable, or both."""


def settings() -> Settings:
    """Return the settings that apply in the current folder.

    Cached until an ``ONSTAGE_*`` variable or the project's pyproject.toml changes.

    Raises
    ------
    SettingsError
        If a key, variable or value is unknown or invalid; the message says where.
    """
    key = find_settings_file(), _variables()
    found = _cache.get(key)
    if found is None:
        values = _from_file(key[0])
        _add_environment(values, dict(key[1]))
        found = Settings(**values)
        _cache.clear()
        _cache[key] = found
    return found


def _variables() -> tuple[tuple[str, str], ...]:
    """Return names and values of the variables of onstage; os.environ would decode all others too."""
    if os.supports_bytes_environ:
        names = [os.fsdecode(name) for name in os.environb if name.startswith(b"ONSTAGE_")]
    else:
        names = [name for name in os.environ if name.startswith("ONSTAGE_")]
    return tuple((name, os.environ[name]) for name in names)


_cache: dict[tuple[Stamp | None, tuple[tuple[str, str], ...]], Settings] = {}


def _from_file(found: Stamp | None) -> dict[str, Any]:
    if found is None:
        return {"sources": {}}
    path = found[0]
    try:
        text, distrust = read_settings_file(path)
        if distrust:
            return {"sources": {}, "ignored_file": _ignore(path, distrust)}
        if "onstage" not in text:
            return {"sources": {}}  # Parsing takes longer than the rest of a run's start.
        import tomllib

        content = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} can't be read: {show_text(error)}") from error
    tool = content.get("tool", {})
    table = tool.get("onstage") if isinstance(tool, dict) else None
    if table is None:
        return {"sources": {}}
    values = _validated(table, f"{path}: [tool.onstage]")
    return {**values, "file": Path(path), "sources": dict.fromkeys(values, path)}


def _ignore(path: str, distrust: str) -> str:
    reason = f"{path} is ignored: {distrust}; take ownership of it, or use ONSTAGE_* variables"
    warn(reason)
    return reason


def _validated(table: object, where: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise SettingsError(f"{where} must be a table, got {table!r}")
    for key in table:
        if key == "allow_import":
            raise SettingsError(
                f"{where} allow_import must be set in the environment, which the owner of a file "
                "does not control: ONSTAGE_ALLOW_IMPORT=1"
            )
        if key not in _KEYS:
            raise SettingsError(
                f"{where} has no key {key!r}{did_you_mean(key, _KEYS)} (keys: {', '.join(_KEYS)})"
            )
    return {key: _KEYS[key](value, f"{where} {key}") for key, value in table.items()}


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise SettingsError(f"{where} must be true or false, got {value!r}")
    return value


def _names(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise SettingsError(f"{where} must be a list of names, got {value!r}")
    return tuple(value)


def _callbacks(value: object, where: str) -> tuple[tuple[str, Options], ...]:
    if not isinstance(value, list):
        raise SettingsError(
            f"{where} must be a list of names or {{name = {{option = value}}}}, got {value!r}"
        )
    found: list[tuple[str, Options]] = []
    for item in value:
        named = {item: {}} if isinstance(item, str) else item
        found += _options(named, where).items()
    return tuple(found)


def _options(value: object, where: str) -> dict[str, Options]:
    if not isinstance(value, dict) or not all(isinstance(table, dict) for table in value.values()):
        raise SettingsError(f"{where} must have the form {{name = {{option = value}}}}, got {value!r}")
    return value


def _policies(value: object, where: str) -> dict[str, Policy]:
    if not isinstance(value, dict):
        raise SettingsError(
            f"{where} must have the form {{name = 'raise', 'disable' or 'retry'}}, got {value!r}"
        )
    for name, policy in value.items():
        if policy not in get_args(Policy):
            raise SettingsError(f"{where}.{name} must be 'raise', 'disable' or 'retry', got {policy!r}")
    return dict(value)


_KEYS: dict[str, Callable[[object, str], object]] = {
    "callbacks": _callbacks,
    "disable": _names,
    "autouse": _flag,
    "trace": _flag,
    "profile": _flag,
    "options": _options,
    "on_error": _policies,
}

_LISTS = {"ONSTAGE_CALLBACKS": "callbacks", "ONSTAGE_DISABLE": "disable"}
_FLAGS = {f"ONSTAGE_{key.upper()}": key for key in ("autouse", "allow_import", "trace", "profile")}

VARIABLES = {**_LISTS, **_FLAGS}
"""Setting that each environment variable extends or overrides."""

_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def _add_environment(values: dict[str, Any], variables: Mapping[str, str]) -> None:
    for variable, text in variables.items():
        if variable not in VARIABLES:
            _refuse_misspelled(variable)
        elif text.strip():
            setting = VARIABLES[variable]
            values[setting] = _parse(variable, text.strip(), values)
            before = values["sources"].get(setting)
            values["sources"][setting] = (
                f"{before}, {variable}" if before and variable in _LISTS else variable
            )


def _parse(variable: str, text: str, values: Mapping[str, Any]) -> object:
    if variable in _FLAGS:
        if text.lower() not in _TRUE + _FALSE:
            raise SettingsError(f"{variable} must be 1 or 0, got {text!r}")
        return text.lower() in _TRUE
    names = [name.strip() for name in text.split(",") if name.strip()]
    before = values.get(VARIABLES[variable], ())
    if variable == "ONSTAGE_DISABLE":
        return (*before, *names)
    already = {name for name, _ in before}
    return (*before, *((name, {}) for name in names if name not in already))


def _refuse_misspelled(variable: str) -> None:
    from difflib import get_close_matches  # imported late: names are rarely misspelt

    # Refuse near matches only: a plugin may have variables of its own.
    endings = {name.removeprefix("ONSTAGE_"): name for name in VARIABLES}
    close = get_close_matches(variable.removeprefix("ONSTAGE_"), endings, n=1, cutoff=0.8)
    if close:
        raise SettingsError(
            f"the environment variable {variable} is unknown; did you mean {endings[close[0]]!r}?"
        )
