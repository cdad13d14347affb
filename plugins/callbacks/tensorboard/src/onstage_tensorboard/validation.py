"""Checks of the constructor's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from onstage.errors import did_you_mean


def validate_update_freq(value: Any) -> int | Literal["epoch"]:
    """Return the batches between writes ("batch" is 1), or "epoch"; raise ValueError if invalid."""
    if value == "epoch":
        return "epoch"
    if value == "batch":
        return 1
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1:
        return int(value)
    guess = did_you_mean(value, ("batch", "epoch")) if isinstance(value, str) else ""
    raise ValueError(f"update_freq must be 'batch', 'epoch' or an integer >= 1, got {value!r}{guess}")


def validate_hparams(hparams: Any) -> dict[str, bool | int | float | str]:
    """Return a copy with numpy scalars as Python numbers; raise TypeError if invalid."""
    if not isinstance(hparams, (Mapping, type(None))):
        raise TypeError(f"hparams must be a dict of name to value, got {hparams!r}")
    checked = {}
    for name, value in (hparams or {}).items():
        value = value.item() if isinstance(value, np.generic) else value
        if not isinstance(name, str) or not isinstance(value, (bool, int, float, str)):
            raise TypeError(f"hparams must be bool, int, float or str by name, got {name!r}: {value!r}")
        checked[name] = value
    return checked
