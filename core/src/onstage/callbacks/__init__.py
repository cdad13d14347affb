"""Every installed callback by the name of its class, third parties' included.

``from onstage.callbacks import EarlyStopping`` finds the class among the entry
points and imports its package, and no other. `Callback` and `History`, which
are onstage's own, are here too.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from onstage.errors import PluginError, did_you_mean

_CORE = {"Callback": "onstage.callbacks._base", "History": "onstage.callbacks._history"}


def _names() -> list[str]:
    from onstage.registry import _discovery  # imported late: `onstage.Callback` needs no list of plugins

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

    if name not in _names():
        _discovery.refresh()  # it may have been installed since
    if name not in _names():
        message = f"no installed callback is called {name!r}{did_you_mean(name, _names())}"
        raise _missing(sys._getframe(1), f"{message} (installed: {', '.join(_names())})")
    plugin = _discovery.find(name)
    if plugin.attribute != name:  # an entry point has the name of another's class
        raise PluginError(
            f"{name!r} is both an entry point ({plugin.label}) and a class; use callback({name!r})"
        )
    return plugin.load()


def _missing(caller: Any, message: str) -> Exception:
    # `from onstage.callbacks import Typo` replaces an AttributeError by an
    # ImportError of its own without the did-you-mean; hasattr needs the AttributeError.
    import dis

    importing = dis.opname[caller.f_code.co_code[caller.f_lasti]] == "IMPORT_FROM"
    return ImportError(message, name=__name__) if importing else AttributeError(message)


def __dir__() -> list[str]:
    return _names()
