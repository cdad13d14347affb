"""Keras's files: ``.keras`` for a whole model, ``.weights.h5`` for its weights."""

from __future__ import annotations

from onstage.nn.saving.keras._files import (
    check_model,
    load_model,
    load_weights,
    read_if_foreign,
    write_model,
    write_weights,
)

__all__ = [
    "check_model",
    "load_model",
    "load_weights",
    "read_if_foreign",
    "write_model",
    "write_weights",
]
