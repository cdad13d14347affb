"""What is sent of logs: JSON that every reader takes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

MAX_BYTES = 256 * 1024
"""Of one event. A larger one is dropped, and counted."""

NON_FINITE = "non_finite"
"""The entry that says which values were NaN or infinite: JSON has none, they go as null."""

_DEEPEST = 8
_LONGEST_TEXT = 1000


def encode(fields: Mapping[str, Any]) -> str | None:
    """Write an event as JSON.

    Returns
    -------
    str or None
        ASCII, on one line; None when it would be longer than `MAX_BYTES`.
    """
    text = json.dumps(to_json_values(fields), allow_nan=False, separators=(",", ":"))
    return text if len(text) <= MAX_BYTES else None


def to_json_values(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Make plain values: numpy's as Python's, arrays as lists, NaN as None.

    Under ``non_finite`` the names of what was not finite, each with ``"nan"``,
    ``"inf"`` or ``"-inf"``; without that entry everything was. What JSON
    doesn't know goes as the text that ``str`` gives.
    """
    flags: dict[str, str] = {}
    cleaned = {str(name): _plain(value, str(name), flags, 0) for name, value in fields.items()}
    if flags:
        cleaned[NON_FINITE] = flags
    return cleaned


def _plain(value: Any, name: str, flags: dict[str, str], depth: int) -> Any:
    if isinstance(value, np.ndarray):
        value = value.item() if value.size == 1 else value.tolist()
    elif isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        flags.setdefault(name, str(float(value)))
        return None
    if value is None or isinstance(value, (bool, int)):
        return value
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {str(key): _plain(each, name, flags, depth + 1) for key, each in value.items()}
    if depth < _DEEPEST and isinstance(value, (list, tuple)):
        return [_plain(each, name, flags, depth + 1) for each in value]
    return str(value)[:_LONGEST_TEXT]
