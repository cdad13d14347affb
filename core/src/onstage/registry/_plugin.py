"""Plugin: an entry point of an installed distribution, and its import."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Literal

from onstage.errors import PluginError, show_error

CALLBACKS = "onstage.callbacks"
"""Entry-point group of callback classes and factories."""
AUTOUSE = "onstage.autouse"
"""Entry-point group of objects, modules or classes active in every run."""
COMMANDS = "onstage.cli"
"""Entry-point group of click commands, added to ``onstage``."""

HOSTS = "onstage.hosts"
"""Entry-point group of adapters for other trainers."""
HOOKSPECS = "onstage.hookspecs"
"""Entry-point group of stages: the name is the stage's, the target a class or module that specifies it."""

Status = Literal["installed", "blocked", "duplicate", "shadowed", "broken"]

NOUN = {
    CALLBACKS: "callback",
    AUTOUSE: "autouse plugin",
    COMMANDS: "command",
    HOSTS: "adapter",
    HOOKSPECS: "stage",
}


@dataclass(frozen=True)
class Plugin:
    """An entry point of an installed distribution, not imported yet."""

    name: str
    """The entry point's name, ``csv_logger``."""
    value: str
    """Its target, ``onstage_csv_logger:CSVLogger``."""
    group: str
    distribution: str
    """Canonical name, ``onstage-csv-logger``."""
    version: str
    location: str
    """The folder of the distribution's metadata."""
    status: Status = "installed"
    """``installed`` means that no problem is known, not that the import works."""
    reason: str = ""
    """Why it can't be used; empty if ``status`` is ``installed``."""

    @property
    def attribute(self) -> str:
        """Name of the class or factory, ``CSVLogger``; empty for a module."""
        return self.value.partition(":")[2]

    @property
    def label(self) -> str:
        """Name and distribution, as shown in messages."""
        return (
            f"{NOUN.get(self.group, 'plugin')} {self.name!r} of {self.distribution} {self.version}".rstrip()
        )

    def load(self) -> object:
        """Import the plugin and return the object that its entry point names.

        Raises
        ------
        PluginError
            If it may not be used (blocked, duplicate, shadowed), if importing
            it raises (``SystemExit`` included), or if the object is missing or
            of a kind that the group does not accept. The cause is chained.
        """
        if self.status != "installed":
            raise PluginError(f"{self.label} can't be used: {self.reason}")
        known = loaded.get(self)
        if known is not None:
            return known
        target = self._import()
        if wrong := _wrong_type(self, target):
            raise PluginError(f"{self.label} is broken: {self.value} {wrong}")
        loaded[self] = target
        return target

    def _import(self) -> object:
        module, _, attributes = self.value.partition(":")
        try:
            target: object = import_module(module)
            for attribute in filter(None, attributes.split(".")):
                target = getattr(target, attribute)
        # Importing a plugin can raise anything; only Ctrl-C comes from the user.
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"{self.label} is broken: importing {self.value} raised {show_error(error)}; "
                f"repair or uninstall {self.distribution} ({self.location})"
            ) from error
        return target


loaded: dict[Plugin, object] = {}
"""Imported targets, so that each is checked once; cleared by `_discovery.refresh`."""


def _wrong_type(plugin: Plugin, target: object) -> str:
    """Return the problem with a loaded target, or an empty string."""
    group, got = plugin.group, f"got {type(target).__name__}"
    if group == HOOKSPECS:
        wanted = f"must have a function {plugin.name!r} marked with @onstage.hookspec"
        return "" if specifies(target, plugin.name) else f"{wanted}, {got} without it"
    if group == AUTOUSE:
        return "" if has_stages(target) else f"must have hook implementations, {got} without any"
    if not callable(target):
        expected = {
            CALLBACKS: "a callback class or a function that returns one",
            HOSTS: "a class of callbacks of another trainer",
        }
        return f"must be {expected.get(group, 'a click command')}, {got}"
    if group == CALLBACKS and isinstance(target, type) and not has_stages(target):
        return "must be a callback class, got a class without any stage method (on_epoch_end, ...)"
    return ""


def specifies(target: object, stage: str) -> bool:
    """Return whether a class or module has the specification of a stage."""
    return hasattr(getattr(target, stage, None), "onstage_spec")


def has_stages(target: object) -> bool:
    """Return whether it has a method named like a stage, or marked with hookimpl."""
    return any(
        name.startswith("on_") or hasattr(getattr(target, name, None), "onstage_impl") for name in dir(target)
    )
