"""Read the stages and options of a plugin from its class."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

from onstage.bus import _validation
from onstage.errors import show_error, show_text
from onstage.hookspecs import STAGES
from onstage.registry._discovery import Plugin
from onstage.registry._factory import signature_of
from onstage.registry._hookspecs import installed_stages
from onstage.registry._plugin import specifies

_LONGEST_DOC = 1000


@dataclass(frozen=True)
class Option:
    """One argument of a constructor."""

    name: str
    required: bool
    default: str
    """Its ``repr``; empty if the option is required."""
    doc: str
    """First sentence about it in the docstring."""


@dataclass(frozen=True)
class Description:
    """Summary, stages and options of an imported plugin."""

    summary: str
    stages: list[str]
    """Stages it implements, in the order of a training, then those of packages; empty for a factory."""
    options: list[Option]


def describe(plugin: Plugin) -> Description:
    """Import a plugin and describe its class, without an instance.

    Raises PluginError as `Plugin.load` does.
    """
    target: Any = plugin.load()
    doc = inspect.getdoc(target) or ""
    signature = signature_of(target) if callable(target) else None
    documented = parameter_docs(doc)
    options = [
        Option(
            name=one.name,
            required=one.default is one.empty,
            default="" if one.default is one.empty else _represent(one.default),
            doc=show_text(documented.get(one.name, ""), _LONGEST_DOC),
        )
        for one in (signature.parameters.values() if signature else ())
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    known = dict.fromkeys((*STAGES, *installed_stages(), *_own_stages(target)))
    stages = [stage for stage in known if _validation.implements(target, stage, known.__contains__)]
    return Description(show_text(doc.partition("\n")[0], _LONGEST_DOC), stages, options)


def _own_stages(target: Any) -> list[str]:
    """Return the names of the stages that a callback brings by its attribute ``hookspecs``."""
    specification = getattr(target, "hookspecs", None)
    return [name for name in dir(specification) if specifies(specification, name)]


def _represent(default: object) -> str:
    try:
        return show_text(repr(default))
    except Exception as error:  # raised by the plugin's own __repr__
        return f"<{show_error(error)}>"


def parameter_docs(doc: str) -> dict[str, str]:
    """Return the first sentence about each parameter in a numpydoc docstring.

    Parameters
    ----------
    doc
        A docstring without its common indentation.
    """
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}$|\Z)", doc, re.MULTILINE | re.DOTALL)
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section[1].splitlines() if section else ():
        if line and not line.startswith(" "):
            names = [name.strip(" *") for name in line.partition(" : ")[0].split(",")]
            found.update(dict.fromkeys(names, ""))
        for name in names if line.startswith(" ") else ():
            found[name] = f"{found[name]} {line.strip()}".strip()
    return {name: re.split(r"(?<=\.)\s", text, maxsplit=1)[0] for name, text in found.items()}
