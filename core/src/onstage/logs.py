"""Logs: the metrics of one event, computed when a callback first reads them."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any, TypeAlias

Logs: TypeAlias = dict[str, Any]
"""Metric name to value: Python floats, except for predict's ``outputs``."""


class LazyLogs(dict[str, Any]):
    """A dict whose values are computed when they are first read.

    A callback that redraws twenty times a second receives logs a thousand times
    a second. The trainer passes a cheap snapshot, and only reading it costs the
    conversion of arrays, or of tensors on a device, to floats.

    Parameters
    ----------
    read
        Returns the values; called at most once. If it is called later, it must
        still return the values of the event.
    """

    __slots__ = ("_read",)

    def __init__(self, read: Callable[[], dict[str, Any]]) -> None:
        # json's C encoder reads the size of the underlying dict: with 0 it would write {}.
        super().__init__(loss=None)
        self._read: Callable[[], dict[str, Any]] | None = read

    def _materialize(self) -> None:
        if self._read is not None:
            read, self._read = self._read, None
            super().clear()
            super().update(read())

    def __eq__(self, other: object) -> bool:
        self._materialize()
        if isinstance(other, LazyLogs):
            other._materialize()
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as a plain dict, with the values computed."""
        return dict, (dict(self.items()),)


def _materializing(name: str) -> Callable[..., Any]:
    plain = getattr(dict, name)

    def method(self: LazyLogs, *args: Any, **kwargs: Any) -> Any:
        self._materialize()
        return plain(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = plain.__doc__
    return method


# Every dict method that reads or changes the content, including __iter__ and
# keys, which dict(logs), {**logs} and json.dumps call.
for _name in (
    *("__getitem__", "__setitem__", "__delitem__", "__iter__", "__len__", "__contains__", "__reversed__"),
    *("__repr__", "__or__", "__ror__", "__ior__"),
    *("get", "items", "keys", "values", "pop", "popitem", "setdefault", "update", "copy", "clear"),
):
    setattr(LazyLogs, _name, _materializing(_name))


def off_graph(value: Any) -> Any:
    """Detach a tensor from its graph; return other values unchanged."""
    return value.detach() if hasattr(value, "detach") else value


def as_number(value: Any) -> Any:
    """Convert a scalar of any library to float; return other values unchanged."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def read_scalars(logs: Logs) -> Logs:
    """Convert scalars of array libraries in the logs to float; keep other values."""
    return {
        name: as_number(off_graph(value))
        if getattr(value, "ndim", None) == 0 and not isinstance(value, Integral)
        else value
        for name, value in logs.items()
    }
