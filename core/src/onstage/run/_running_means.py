"""RunningMeans: the metrics of a custom loop, accumulated batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onstage.errors import StateError
from onstage.logs import LazyLogs, Logs, as_number, off_graph
from onstage.model import State


class RunningMeans:
    """Sample-weighted means of logged values since a stage began.

    A value may be a number, a numpy scalar, or a tensor on a device: sums stay
    on the device and become floats when they are read. Text, arrays and None
    have no mean: the last one is passed on.

    Implements `onstage.model.MetricAccumulator`.
    """

    def __init__(self) -> None:
        self._sums: dict[str, list[Any]] = {}  # of value * samples, and of samples
        self._others: Logs = {}
        self._batch: Logs = {}
        self._on_device = False

    def add(self, values: Logs, samples: float) -> None:
        """Add the values of one batch, each a mean over its samples; keep the dict."""
        self._batch = values
        sums = self._sums
        for name, value in values.items():
            if type(value) is not float:  # a number is all that most loops log
                # Detached at once: a kept loss would keep its whole graph in memory.
                value = values[name] = off_graph(value)
                if value is None or isinstance(value, str) or getattr(value, "ndim", None):
                    self._others[name] = value
                    continue
                self._on_device = self._on_device or type(value) is not int
            pair = sums.get(name)
            if pair is None:
                sums[name] = [0.0 + value * samples, 0.0 + samples]
            else:
                # Not in place: earlier snapshots share the old sums.
                pair[0] = pair[0] + value * samples
                pair[1] = pair[1] + samples

    def replace(self, values: Mapping[str, Any]) -> None:
        """Replace the means by values that are already means over the stage."""
        self._batch = {name: off_graph(value) for name, value in values.items()}
        self._on_device = True
        for name, value in self._batch.items():
            if value is None or isinstance(value, str) or getattr(value, "ndim", None):
                self._others[name] = value
            else:
                self._sums[name] = [value, 1.0]

    def logs(self) -> Logs:
        """Return the means so far: a snapshot, computed when it is first read if that may take time."""
        others = dict(self._others)
        if not self._on_device:
            return {name: _mean(*pair) for name, pair in self._sums.items()} | others
        sums = [(name, *pair) for name, pair in self._sums.items()]
        return LazyLogs(lambda: {name: _mean(*pair) for name, *pair in sums} | others)

    def batch_logs(self) -> Logs:
        """Return the values of the last batch alone."""
        batch = self._batch
        return LazyLogs(lambda: {name: as_number(value) for name, value in batch.items()})

    def state_dict(self) -> State:
        """Return the sums, for a run that is resumed within an epoch."""
        return {name: [as_number(total), weight] for name, (total, weight) in self._sums.items()}

    def load_state_dict(self, state: State) -> None:
        """Restore a state of `state_dict`. Raise StateError if it is not one."""
        if not all(_is_pair(pair) for pair in state.values()):
            raise StateError("the saved means must be pairs of a sum and a weight")
        self._sums = {name: [total, weight] for name, (total, weight) in state.items()}


def _is_pair(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(type(each) in (int, float) for each in pair)


def _mean(total: Any, weight: float) -> Any:
    """Return the mean as a float; as in Keras, 0.0 of no samples."""
    return as_number(total / weight) if weight else 0.0


def sample_count(data: Any) -> int:
    """Return the number of samples in a batch: the length of its first array.

    Arrays are searched in tuples, lists and dicts. Without one, it is the
    length of a list, and else 1.
    """
    shape = getattr(data, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else 1
    if hasattr(data, "keys") and isinstance(data, Mapping):  # isinstance alone would take longer
        data = tuple(data.values())
    if isinstance(data, (tuple, list)):
        for part in data:
            if hasattr(part, "shape") or isinstance(part, (tuple, list, Mapping)):
                return sample_count(part)
        return max(len(data), 1) if isinstance(data, list) else 1
    return 1
