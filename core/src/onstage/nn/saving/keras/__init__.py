"""Keras's files: ``.keras`` for a whole model, ``.weights.h5`` for its weights."""

from __future__ import annotations

from onstage.nn.saving.keras._files import (
    load_model,
    load_weights,
    model_writer,
    read_if_foreign,
    weights_writer,
)

__all__ = ["load_model", "load_weights", "model_writer", "read_if_foreign", "weights_writer"]
