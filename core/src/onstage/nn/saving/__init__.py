"""Save and load models as plain data; classes are looked up by name in tables."""

from __future__ import annotations

from onstage.nn.saving._config import compile_config, make_layers, model_config
from onstage.nn.saving._files import load_model, load_weights, save, snapshot_writer
from onstage.nn.saving._state import load_state, snapshot, snapshot_weights, state_view

__all__ = [
    "compile_config",
    "load_model",
    "load_state",
    "load_weights",
    "make_layers",
    "model_config",
    "save",
    "snapshot",
    "snapshot_weights",
    "snapshot_writer",
    "state_view",
]
