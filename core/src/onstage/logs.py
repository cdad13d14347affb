"""The logs of one event: a dict whose values are computed when first read, and its scalars."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any, TypeAlias

Logs: TypeAlias = dict[str, Any]
"""Metric name to value; Python floats, but for predict's ``outputs``."""


class LazyLogs(dict[str, Any]):
    """A dict that asks for its values at the first look.

    A callback that redraws twenty times a second receives logs a thousand
    times a second. The trainer hands over a cheap snapshot, and only a
    callback that looks pays for turning arrays (or device tensors) into floats.

    Parameters
    ----------
    read
        Gives the values; called at most once. It must give those of the event
        even when it is called later.
    """

    __slots__ = ("_read",)

    def __init__(self, read: Callable[[], dict[str, Any]]) -> None:
        # json's C encoder takes a dict whose real size is 0 for empty, without asking.
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
        """Pickle and copy as a plain dict."""
        return dict, (dict(self.items()),)


def _materializing(name: str) -> Callable[..., Any]:
    plain = getattr(dict, name)

    def method(self: LazyLogs, *args: Any, **kwargs: Any) -> Any:
        self._materialize()
        return plain(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = plain.__doc__
    return method


# Every method of dict that reads or changes the content. __iter__ and keys are
# among them, so that dict(logs), {**logs} and json.dumps see the values too.
for _name in (
    *("__getitem__", "__setitem__", "__delitem__", "__iter__", "__len__", "__contains__", "__reversed__"),
    *("__repr__", "__or__", "__ror__", "__ior__"),
    *("get", "items", "keys", "values", "pop", "popitem", "setdefault", "update", "copy", "clear"),
):
    setattr(LazyLogs, _name, _materializing(_name))


def off_graph(value: Any) -> Any:
    """Return a tensor without the graph that it was computed by; others as they are."""
    return value.detach() if hasattr(value, "detach") else value


def as_number(value: Any) -> Any:
    """Give the Python float of a scalar of any library; others as they are."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def read_scalars(logs: Logs) -> Logs:
    """Turn scalars of array libraries into Python's floats; leave all else."""
    return {
        name: as_number(off_graph(value))
        if getattr(value, "ndim", None) == 0 and not isinstance(value, Integral)
        else value
        for name, value in logs.items()
    }
