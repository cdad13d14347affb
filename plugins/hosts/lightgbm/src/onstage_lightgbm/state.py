"""The state of the callbacks beside a model: in its text file, or on the Booster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lightgbm import Booster

from onstage.hosts import state_from_text, state_to_text
from onstage.model import State

_LINE = "\nonstage_callbacks:"
_AFTER = "\npandas_categorical:"
"""The last line of a file, which LightGBM looks for at the end; it skips the lines before."""


def keep_state(booster: Booster, state: State | None) -> None:
    """Keep the state on a Booster, from which `read_state` takes it."""
    vars(booster)["onstage_callbacks"] = state_to_text(state)


def write_model(booster: Booster, path: str, state: str | None) -> None:
    """Write a model as ``booster.save_model`` does, with a line for the state."""
    booster.save_model(path)
    text, found, last = Path(path).read_text(encoding="utf-8").rpartition(_AFTER)
    Path(path).write_text(f"{text}{_LINE}{state}{found}{last}" if state else text + found + last, "utf-8")


def read_state(init_model: Any) -> State | None:
    """Return the state of a Booster, an estimator or a file; None if it has none."""
    if isinstance(init_model, (str, os.PathLike)):
        _, found, rest = Path(init_model).read_text(encoding="utf-8").rpartition(_LINE)
        return state_from_text(rest.partition("\n")[0]) if found else None
    booster = getattr(init_model, "booster_", init_model)
    return state_from_text(getattr(booster, "onstage_callbacks", None))
