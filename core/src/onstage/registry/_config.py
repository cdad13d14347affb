"""Settings from ``[tool.onstage]`` in pyproject.toml and ``ONSTAGE_*`` variables.

The file is the nearest pyproject.toml with a ``[tool.onstage]`` table, from the
current folder upward::

    [tool.onstage]
    callbacks = ["csv_logger", {early_stopping = {patience = 3}}]   # added to every run
    disable = ["tensorboard"]            # entry points, classes or distributions
    autouse = true                       # plugins of the group onstage.autouse
    allow_import = false                 # allow "module:Class" in place of a name
    trace = false                        # print every call of a callback
    profile = false                      # print the cost of each callback at the end

    [tool.onstage.options]               # defaults of callbacks created by name
    csv_logger = {filename = "log.csv"}

    [tool.onstage.on_error]              # "raise" or "disable"; overrides the plugin's own
    remote_monitor = "raise"

============================  =================================================
``ONSTAGE_CALLBACKS``         comma-separated names, added to every run
``ONSTAGE_DISABLE``           comma-separated names, blocked besides ``disable``
``ONSTAGE_AUTOUSE``           ``0`` or ``1``, overrides ``autouse``
``ONSTAGE_ALLOW_IMPORT``      the same for ``allow_import``
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
from typing import Any, Literal

from onstage.errors import SettingsError, did_you_mean

Options = Mapping[str, Any]
Policy = Literal["raise", "disable"]


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
    sources: Mapping[str, str] = field(default_factory=dict)
    """Origin of each setting that was set: a path, a variable, or both."""


def settings() -> Settings:
    """Return the settings that apply in the current folder.

    Cached until an ``ONSTAGE_*`` variable or a pyproject.toml in the folder or
    its parents changes.

    Raises
    ------
    SettingsError
        If a key, variable or value is unknown or invalid; the message says where.
    """
    variables = tuple((name, os.environ[name]) for name in os.environ if name.startswith("ONSTAGE_"))
    key = _files(), variables
    found = _cache.get(key)
    if found is None:
        values = _from_file(key[0])
        _add_environment(values, dict(variables))
        found = Settings(**values)
        _cache.clear()
        _cache[key] = found
    return found


_File = tuple[str, int, int]
_cache: dict[tuple[tuple[_File, ...], tuple[tuple[str, str], ...]], Settings] = {}


def _files() -> tuple[_File, ...]:
    """Return path, modification time and size of every pyproject.toml upward."""
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        return ()
    found = []
    while True:
        path = os.path.join(folder, "pyproject.toml")
        try:
            status = os.stat(path)
            found.append((path, status.st_mtime_ns, status.st_size))
        except OSError:
            pass
        folder, last = os.path.dirname(folder), folder
        if folder == last:
            return tuple(found)


def _from_file(files: tuple[_File, ...]) -> dict[str, Any]:
    for path, _, _ in files:
        try:
            text = Path(path).read_text(encoding="utf-8")
            if "onstage" not in text:
                continue  # Parsing takes longer than the rest of a run's start.
            import tomllib

            content = tomllib.loads(text)
        except (OSError, ValueError) as error:
            raise SettingsError(f"{path} can't be read: {error}") from error
        table = content.get("tool", {}).get("onstage")
        if table is not None:
            values = _validated(table, f"{path}: [tool.onstage]")
            return {**values, "file": Path(path), "sources": dict.fromkeys(values, path)}
    return {"sources": {}}


def _validated(table: object, where: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise SettingsError(f"{where} must be a table, got {table!r}")
    for key in table:
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
        raise SettingsError(f"{where} must have the form {{name = 'raise' or 'disable'}}, got {value!r}")
    for name, policy in value.items():
        if policy not in ("raise", "disable"):
            raise SettingsError(f"{where}.{name} must be 'raise' or 'disable', got {policy!r}")
    return dict(value)


_KEYS: dict[str, Callable[[object, str], object]] = {
    "callbacks": _callbacks,
    "disable": _names,
    "autouse": _flag,
    "allow_import": _flag,
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
