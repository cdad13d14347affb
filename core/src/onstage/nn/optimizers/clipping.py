"""Gradient clipping by value or norm."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np

from onstage.model import Array
from onstage.validation import validate_float

Clip: TypeAlias = Callable[[Array, Sequence[slice], Sequence[slice]], None]
"""Clips flat gradients in place, given the slices of the trained variables and
the spans that they cover."""


def choose(clipnorm: float | None, clipvalue: float | None, global_clipnorm: float | None) -> Clip | None:
    """Return the clipping function for the limit that is not None, if any.

    Raises
    ------
    ValueError, TypeError
        If a limit is not a number > 0, or more than one is given.
    """
    limits = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
    given = {name: value for name, value in limits.items() if value is not None}
    if len(given) > 1:
        raise ValueError(f"at most one of clipnorm, clipvalue and global_clipnorm must be given, got {given}")
    functions = {"clipnorm": _clip_norms, "clipvalue": _clip_values, "global_clipnorm": _clip_global_norm}
    for name, value in given.items():
        return partial(functions[name], validate_float(name, value, 0, exclude={0}))
    return None


def _clip_norms(limit: float, gradients: Array, slices: Sequence[slice], spans: Sequence[slice]) -> None:
    for each in slices:
        _clip_global_norm(limit, gradients, slices, [each])


def _clip_global_norm(
    limit: float, gradients: Array, slices: Sequence[slice], spans: Sequence[slice]
) -> None:
    parts = [gradients[each] for each in spans]
    norm = math.sqrt(sum(np.dot(part, part) for part in parts))
    # Not `norm > limit`, which is False for NaN. An infinite norm cannot be scaled
    # back; all gradients become NaN, as in Keras.
    if not norm <= limit:
        for part in parts:
            np.multiply(part, limit / norm if norm < math.inf else math.nan, part)


def _clip_values(limit: float, gradients: Array, slices: Sequence[slice], spans: Sequence[slice]) -> None:
    np.clip(gradients, -limit, limit, out=gradients)
