"""Running means of what a hand-written loop logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onstage.errors import StateError
from onstage.logs import LazyLogs, Logs, as_number, off_graph
from onstage.model import State


class RunningMeans:
    """Sample-weighted means since a stage began, of values given batch by batch.

    A value may be a number, a numpy scalar, or a tensor on a device: sums are
    formed where the value is, and become floats when somebody reads them. A
    text, an array or None is passed through, the last one wins.

    Implements `onstage.model.Totals`.
    """

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Any, float]] = {}
        self._others: Logs = {}
        self._batch: Logs = {}

    def add(self, values: Mapping[str, Any], samples: float) -> None:
        """Count one batch's values, each the mean over its samples."""
        # Off their graph at once, or a kept loss keeps all that it was made of.
        self._batch = {name: off_graph(value) for name, value in values.items()}
        for name, value in self._batch.items():
            if value is None or isinstance(value, str) or getattr(value, "ndim", None):
                self._others[name] = value
                continue
            total, weight = self._sums.get(name, (0.0, 0.0))
            # Not in place: a snapshot taken before keeps its own sum.
            self._sums[name] = (total + value * samples, weight + samples)

    def replace(self, values: Mapping[str, Any]) -> None:
        """Take values that are means over the stage already."""
        self._batch = {name: off_graph(value) for name, value in values.items()}
        for name, value in self._batch.items():
            if value is None or isinstance(value, str) or getattr(value, "ndim", None):
                self._others[name] = value
            else:
                self._sums[name] = (value, 1.0)

    def logs(self) -> Logs:
        """Give the means so far; a snapshot, read when it is first looked at."""
        sums, others = dict(self._sums), dict(self._others)
        if not sums:
            return others
        return LazyLogs(lambda: {name: _mean(*pair) for name, pair in sums.items()} | others)

    def batch_logs(self) -> Logs:
        """Give the last batch's own values."""
        batch = self._batch
        return LazyLogs(lambda: {name: as_number(value) for name, value in batch.items()})

    def state_dict(self) -> State:
        """Give the sums, for a run that is resumed in mid-epoch."""
        return {name: [as_number(total), weight] for name, (total, weight) in self._sums.items()}

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` gave; raises StateError for anything else."""
        if not all(_is_pair(pair) for pair in state.values()):
            raise StateError("the saved means must be pairs of a sum and a weight")
        self._sums = {name: (total, weight) for name, (total, weight) in state.items()}


def _is_pair(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(type(each) in (int, float) for each in pair)


def _mean(total: Any, weight: float) -> Any:
    return as_number(total / weight)


def sample_count(data: Any) -> int:
    """Count the samples of a batch: the length of the first array in it.

    Looks into tuples, lists and dicts; 1 where there is nothing with a shape.
    """
    if isinstance(data, Mapping):
        data = tuple(data.values())
    shape = getattr(data, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else 1
    if isinstance(data, (tuple, list)):
        for part in data:
            if isinstance(part, (tuple, list, Mapping)) or hasattr(part, "shape"):
                return sample_count(part)
        return max(len(data), 1) if isinstance(data, list) else 1
    return 1
