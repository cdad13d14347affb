"""Names of metrics in the logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple


class OwnName(NamedTuple):
    """A metric's name before it is made unique among others."""

    name: str
    automatic: bool = False
    """Whether the name was derived from the class; such metrics are numbered
    within the model: ``recall``, ``recall_1``."""
    weighted: bool = False
    """Whether it comes from ``weighted_metrics``."""


def log_names(metrics: Iterable[OwnName]) -> list[str]:
    """Return unique names for the logs, following Keras.

    Automatic names are numbered first, across this model's `metrics` and
    `weighted_metrics`. (Keras numbers across the process, so a second model
    would continue with ``recall_2``.) If a name is taken, a weighted metric's
    becomes ``weighted_<name>``; if that is taken too, it is numbered:
    ``<name>_1``, ``<name>_2``.

    Parameters
    ----------
    metrics
        Metrics of ``metrics``, then those of ``weighted_metrics``, in order.

    Examples
    --------
    >>> log_names([OwnName("mse"), OwnName("mse", weighted=True), OwnName("mse")])
    ['mse', 'weighted_mse', 'mse_1']
    """
    automatic: Counter[str] = Counter()
    taken = {"loss"}
    names = []
    for own in metrics:
        name = own.name
        if own.automatic:
            name = f"{name}_{automatic[name]}" if automatic[name] else name
            automatic[own.name] += 1
        if name in taken and own.weighted:
            name = f"weighted_{name}"
        names.append(_first_free(name, taken))
        taken.add(names[-1])
    return names


def _first_free(name: str, taken: set[str]) -> str:
    free, number = name, 0
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free
