"""Checks of the constructor's arguments and of the logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from onstage.errors import did_you_mean
from onstage.logs import Logs


def validate_update_freq(value: Any) -> int | Literal["epoch"]:
    """Return the batches between writes ("batch" is 1), or "epoch"; raise ValueError if invalid."""
    if value in ("batch", "epoch"):
        return 1 if value == "batch" else "epoch"
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


def batch_range(profile_batch: object) -> tuple[int, int]:
    """Return the first and last batch to profile, counted from 1; ``(0, 0)`` for none.

    Parameters
    ----------
    profile_batch
        ``0``, ``5``, ``"5"``, ``(5, 8)`` or ``"5,8"``.
    """
    parts = profile_batch.split(",") if isinstance(profile_batch, str) else profile_batch
    ends: list[Any] = list(parts) if isinstance(parts, (list, tuple)) else [parts]
    ends = [int(end) if isinstance(end, str) and end.strip().isdecimal() else end for end in ends]
    whole = len(ends) in (1, 2) and all(type(end) is int for end in ends)
    if whole and (0 < ends[0] <= ends[-1] or ends in ([0], [0, 0])):
        return ends[0], ends[-1]
    raise ValueError(
        "profile_batch must be 0, a batch counted from 1, or a pair of the first and the last batch, "
        f"got {profile_batch!r}; the Text tab shows where Python spends its time: "
        "traces for the Profile tab are not offered"
    )


def numbers_of(logs: Logs | None) -> dict[str, float]:
    """Return the values that are numbers: no arrays, no strings."""
    numbers = {}
    for name, value in (logs or {}).items():
        if not isinstance(value, (str, bytes)):
            try:
                numbers[name] = float(value)
            except (TypeError, ValueError):
                continue
    return numbers
