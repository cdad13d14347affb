"""Convert logs to JSON that every reader accepts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

MAX_BYTES = 256 * 1024
"""Maximum size of one event; a larger one is dropped and counted."""

NON_FINITE = "non_finite"
"""Entry that names the values that were NaN or infinite, which JSON cannot hold: they are null."""

_DEEPEST = 8
_LONGEST_TEXT = 1000


def encode(fields: Mapping[str, Any]) -> str | None:
    """Return an event as JSON.

    Returns
    -------
    str or None
        One line of ASCII; None if it is longer than `MAX_BYTES`.
    """
    text = json.dumps(to_json_values(fields), allow_nan=False, separators=(",", ":"))
    return text if len(text) <= MAX_BYTES else None


def to_json_values(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain values: numpy scalars as numbers, arrays as lists, NaN as None.

    ``non_finite`` maps the names of values that were not finite to ``"nan"``,
    ``"inf"`` or ``"-inf"``; it is absent if all were. Other objects become
    their ``str``.

    Examples
    --------
    >>> to_json_values({"loss": float("nan"), "size": np.float32(2)})
    {'loss': None, 'size': 2.0, 'non_finite': {'loss': 'nan'}}
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
