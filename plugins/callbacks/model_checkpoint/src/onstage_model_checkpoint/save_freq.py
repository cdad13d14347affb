"""When a checkpoint is due, and the value that decides it."""

from __future__ import annotations

import re

from onstage import Logs
from onstage.callbacks.monitor import Monitor
from onstage.validation import validate_int


def parse_save_freq(save_freq: object) -> tuple[int, int]:
    """Return the epochs and the batches between two saves, one of them 0."""
    if isinstance(save_freq, int) and not isinstance(save_freq, bool):
        return 0, validate_int("save_freq", save_freq, 1)
    if save_freq == "epoch":
        return 1, 0
    match = re.fullmatch(r"([1-9]\d*) epochs?", save_freq) if isinstance(save_freq, str) else None
    if match is None:
        raise ValueError(
            f"save_freq must be 'epoch', '5 epochs' or a number of batches >= 1, got {save_freq!r}"
        )
    return int(match[1]), 0


def read_value(monitor: Monitor, logs: Logs, *, required: bool) -> float | None:
    """Return the value of the monitor; None if it is missing and not required."""
    if required:
        return monitor.read(logs)
    # The best is only informative here: a missing value is no error.
    value = None if monitor.direction is None else logs.get(monitor.name)
    return float(value) if isinstance(value, (int, float)) else None
