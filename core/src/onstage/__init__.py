"""onstage: training callbacks as plugins.

A trainer calls one pluggy hook at each stage of training. A callback is a
plugin, and installing a package adds one. The same plugin runs in the built-in
numpy trainer, on PyTorch, and in a custom training loop.

Start reading at `onstage.hookspecs`, the contract.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onstage import activations as activations
    from onstage import callbacks as callbacks
    from onstage import initializers as initializers
    from onstage import keras as keras
    from onstage import layers as layers
    from onstage import losses as losses
    from onstage import metrics as metrics
    from onstage import optimizers as optimizers
    from onstage import regularizers as regularizers
    from onstage import schedules as schedules
    from onstage import testing as testing
    from onstage.bus._manager import Bus as Bus
    from onstage.callbacks._base import Callback as Callback
    from onstage.callbacks._history import History as History
    from onstage.errors import Interrupted as Interrupted
    from onstage.errors import OnstageError as OnstageError
    from onstage.errors import OnstageWarning as OnstageWarning
    from onstage.errors import PluginError as PluginError
    from onstage.errors import SettingsError as SettingsError
    from onstage.errors import StateError as StateError
    from onstage.hookspecs import hookimpl as hookimpl
    from onstage.hookspecs import hookspec as hookspec
    from onstage.logs import Logs as Logs
    from onstage.model import Model as Model
    from onstage.model_view import ModelView as ModelView
    from onstage.nn.sequential import Sequential as Sequential
    from onstage.nn.sequential import load_model as load_model
    from onstage.registry._factory import callback as callback
    from onstage.reporting._plot import plot as plot
    from onstage.run._session import Run as Run
    from onstage.trainer import Trainer as Trainer
    from onstage.trainer._lr_find import lr_find as lr_find

__version__ = "0.1.0"

_HOMES = {
    "Bus": "onstage.bus._manager",
    "Callback": "onstage.callbacks._base",
    "History": "onstage.callbacks._history",
    "Interrupted": "onstage.errors",
    "Logs": "onstage.logs",
    "Model": "onstage.model",
    "ModelView": "onstage.model_view",
    "OnstageError": "onstage.errors",
    "OnstageWarning": "onstage.errors",
    "PluginError": "onstage.errors",
    "Run": "onstage.run._session",
    "Sequential": "onstage.nn.sequential",
    "SettingsError": "onstage.errors",
    "StateError": "onstage.errors",
    "Trainer": "onstage.trainer",
    "callback": "onstage.registry._factory",
    "hookimpl": "onstage.hookspecs",
    "hookspec": "onstage.hookspecs",
    "load_model": "onstage.nn.sequential",
    "lr_find": "onstage.trainer._lr_find",
    "plot": "onstage.reporting._plot",
}
_MODULES = (
    "activations",
    "callbacks",
    "initializers",
    "keras",
    "layers",
    "losses",
    "metrics",
    "optimizers",
    "regularizers",
    "schedules",
    "testing",
)

__all__ = sorted([*_HOMES, *_MODULES, "__version__"])


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: most plugins need no numpy layers."""
    if name in _MODULES:
        return import_module(f"onstage.{name}")
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise _missing(name)


def _missing(name: str) -> Exception:
    import sys

    from onstage.errors import did_you_mean, missing_name

    homes = ("callbacks", "layers", "losses", "metrics", "optimizers", "schedules")
    home = next((f"onstage.{each}" for each in homes if name in dir(import_module(f"onstage.{each}"))), "")
    hint = f"; it is in {home}" if home else did_you_mean(name, __all__)
    return missing_name(sys._getframe(2), "onstage", f"module 'onstage' has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    return __all__
