"""``module:Class`` on the command line: a callback of a module, also of the current folder."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from onstage.registry._config import Settings
from onstage.registry._factory import load_factory
from onstage.registry._plugin import CALLBACKS, Plugin


def find_local(name: str) -> Plugin:
    """Import the callback that ``module:Class`` names; raise PluginError if it is none."""
    load_factory(name, allow_local(Settings()))
    return Plugin(name, name, CALLBACKS, "no distribution", "", os.getcwd())


def allow_local(settings: Settings) -> Settings:
    """Return the settings with ``module:Class`` allowed: whoever types it chooses what is imported."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    return replace(settings, allow_import=True)
