"""The state of the callbacks, as text in a model's file or on its Booster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lightgbm import Booster

ATTRIBUTE = "onstage_callbacks"
"""Attribute of a Booster, and name of a line in its file."""

_LINE = f"\n{ATTRIBUTE}:"
_LAST = "\npandas_categorical:"
"""The last line of a file, which LightGBM looks for at the end; it skips lines before it."""


def write_model(booster: Booster, path: str, state: str | None) -> None:
    """Write a file as ``booster.save_model`` does, with a line for the state."""
    booster.save_model(path)
    text, found, last = Path(path).read_text(encoding="utf-8").rpartition(_LAST)
    Path(path).write_text(f"{text}{_LINE}{state or ''}{found}{last}", encoding="utf-8")


def read_state(init_model: Any) -> str | None:
    """Return the state of a Booster, an estimator or a file; None if it has none."""
    if isinstance(init_model, (str, os.PathLike)):
        _, found, rest = Path(init_model).read_text(encoding="utf-8").rpartition(_LINE)
        return rest.partition("\n")[0] or None if found else None
    return getattr(getattr(init_model, "booster_", init_model), ATTRIBUTE, None)
