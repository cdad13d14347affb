"""Plugin: one entry point of an installed distribution, and how it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Literal

from onstage.errors import PluginError

CALLBACKS = "onstage.callbacks"
"""Entry-point group: name to callback class or factory."""
AUTOUSE = "onstage.autouse"
"""Entry-point group: objects, modules or classes active in every run."""
COMMANDS = "onstage.cli"
"""Entry-point group: click commands, added below ``onstage``."""

Status = Literal["installed", "blocked", "duplicate", "shadowed", "broken"]

NOUN = {CALLBACKS: "callback", AUTOUSE: "autouse plugin", COMMANDS: "command"}


@dataclass(frozen=True)
class Plugin:
    """One entry point of an installed distribution; nothing is imported yet."""

    name: str
    """The entry point's name, ``csv_logger``."""
    value: str
    """Where it is, ``onstage_csv_logger:CSVLogger``."""
    group: str
    distribution: str
    """``onstage-csv-logger``, normalised."""
    version: str
    location: str
    """The folder of the distribution's metadata."""
    status: Status = "installed"
    """``installed`` says that nothing is known against it, not that it imports."""
    reason: str = ""
    """Why it can't be used; empty while installed."""

    @property
    def attribute(self) -> str:
        """The class or factory's own name, ``CSVLogger``; empty for a module."""
        return self.value.partition(":")[2]

    @property
    def label(self) -> str:
        """Name and distribution, as messages show them."""
        return (
            f"{NOUN.get(self.group, 'plugin')} {self.name!r} of {self.distribution} {self.version}".rstrip()
        )

    def load(self) -> object:
        """Import it and give what the entry point names.

        Raises
        ------
        PluginError
            It may not be used (blocked, duplicate, shadowed), importing it
            raised (``SystemExit`` too), the attribute is missing or is not
            what the group asks for. The cause is chained.
        """
        if self.status != "installed":
            raise PluginError(f"{self.label} can't be used: {self.reason}")
        known = loaded.get(self)
        if known is not None:
            return known
        target = self._import()
        if wrong := _wrong_type(self.group, target):
            raise PluginError(f"{self.label} is broken: {self.value} {wrong}")
        loaded[self] = target
        return target

    def _import(self) -> object:
        module, _, attributes = self.value.partition(":")
        try:
            target: object = import_module(module)
            for attribute in filter(None, attributes.split(".")):
                target = getattr(target, attribute)
        # A plugin's module can raise anything; Ctrl-C alone is the user's.
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"{self.label} is broken: importing {self.value} raised {type(error).__name__}: {error}; "
                f"repair or uninstall {self.distribution} ({self.location})"
            ) from error
        return target


loaded: dict[Plugin, object] = {}
"""What was imported, so that each is checked once; `discovery.refresh` empties it."""


def _wrong_type(group: str, target: object) -> str:
    """Say what is wrong with a loaded target, or give an empty string."""
    got = f"got {type(target).__name__}"
    if group == AUTOUSE:
        return "" if _acts(target) else f"must have hook implementations, {got} without any"
    if not callable(target):
        what = "a callback class or a function that makes one" if group == CALLBACKS else "a click command"
        return f"must be {what}, {got}"
    if group == CALLBACKS and isinstance(target, type) and not _acts(target):
        return "must be a callback class, got a class without any stage method (on_epoch_end, ...)"
    return ""


def _acts(target: object) -> bool:
    """Whether it has a method named like a stage, or one marked with hookimpl."""
    return any(
        name.startswith("on_") or hasattr(getattr(target, name, None), "onstage_impl") for name in dir(target)
    )
