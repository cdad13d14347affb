"""The state of the callbacks as text, for the JSON file in the Trainer's checkpoints."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np

from onstage.model import State

_ARRAY = "npy"


def to_text(state: State) -> str:
    """Return a state as JSON, arrays as base64 of their ``.npy`` file."""
    return json.dumps(state, default=_encode)


def from_text(text: str) -> State:
    """Return the state of `to_text`."""
    state: State = json.loads(text, object_hook=_decode)
    return state


def _encode(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        raise TypeError(f"a state must hold numbers, text and arrays, got {type(value).__name__}")
    file = io.BytesIO()
    np.save(file, value, allow_pickle=False)
    return {_ARRAY: base64.b64encode(file.getvalue()).decode()}


def _decode(entry: dict[str, Any]) -> Any:
    if set(entry) != {_ARRAY}:
        return entry
    return np.load(io.BytesIO(base64.b64decode(entry[_ARRAY])), allow_pickle=False)
