"""Numbers, times and aligned columns as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from onstage import Logs
from onstage.reporting import format_duration


def metric_texts(logs: Logs, joint: str) -> list[str]:
    """Return each metric as text, ``"loss=0.5000"``, with Keras's digits."""
    return [f"{name}{joint}{_number(value)}" for name, value in logs.items()]


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4e}" if 0 < abs(value) <= 1e-3 else f"{value:.4f}"


def duration(seconds: float) -> str:
    """Return the time that something took: ``"2.50 s"``, ``"1:02:03"``."""
    return format_duration(seconds) if seconds < 60 else clock(seconds)


def clock(seconds: float) -> str:
    """Return a time as text: ``"0:12"``, ``"1:02:03"``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


class Columns:
    """Widths of columns whose lines are printed one by one: each as wide as its widest text so far."""

    def __init__(self) -> None:
        self._widths: dict[str, int] = {}

    def left(self, names: Iterable[str], texts: Iterable[str]) -> list[str]:
        """Return the texts padded to the widths of their columns."""
        return [text.ljust(self._width(name, text)) for name, text in zip(names, texts, strict=True)]

    def right(self, name: str, text: str) -> str:
        """Return a text padded at its left."""
        return text.rjust(self._width(name, text))

    def _width(self, name: str, text: str) -> int:
        width = self._widths[name] = max(self._widths.get(name, 0), len(text))
        return width
