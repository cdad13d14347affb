"""The names of metrics in the logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple


class OwnName(NamedTuple):
    """What a metric is called before it stands among others."""

    name: str
    automatic: bool = False
    """Whether the name is that of the class, because nobody gave one: such
    metrics are numbered in the model, ``recall``, ``recall_1``."""
    weighted: bool = False
    """Whether it comes from ``weighted_metrics``."""


def log_names(metrics: Iterable[OwnName]) -> list[str]:
    """Return the names in the logs, all different, as Keras gives them.

    A metric with an automatic name gets its number first, counted in this
    model over `metrics` and `weighted_metrics`. (Keras counts in the process,
    so that a second model's would go on with ``recall_2``.) Where a name is
    taken, a weighted metric's becomes ``weighted_<name>``; and where that is
    taken, too, it is numbered: ``<name>_1``, ``<name>_2``.

    Parameters
    ----------
    metrics
        Those of ``metrics``, then those of ``weighted_metrics``, in order.
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
