"""Every installed callback by the name of its class, also those of third parties.

``from onstage.callbacks import EarlyStopping`` finds the class among the entry
points and imports only its package. `Callback` and `History` are here too.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from onstage.errors import PluginError, did_you_mean, missing_name

_CORE = {"Callback": "onstage.callbacks._base", "History": "onstage.callbacks._history"}


def _names() -> list[str]:
    from onstage.registry import _discovery  # imported late: `onstage.Callback` does not need it

    plugins = _discovery.installed()
    return sorted({*_CORE, *(plugin.attribute for plugin in plugins if plugin.attribute.isidentifier())})


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return _names()
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _CORE:
        return getattr(import_module(_CORE[name]), name)
    from onstage.registry import _discovery
    from onstage.registry._first_party import missing_package

    if name not in _names():
        _discovery.refresh()  # it may have been installed in the meantime
    if name not in _names():
        hint = missing_package(name) or did_you_mean(name, _names())
        message = f"no installed callback is called {name!r}{hint}"
        installed = f"{message} (installed: {', '.join(_names())})"
        raise missing_name(sys._getframe(1), __name__, installed)
    plugin = _discovery.find(name)
    if plugin.attribute != name:  # the entry point of another class has this name
        raise PluginError(
            f"{name!r} is both an entry point ({plugin.label}) and a class; use callback({name!r})"
        )
    return plugin.load()


def __dir__() -> list[str]:
    return _names()
