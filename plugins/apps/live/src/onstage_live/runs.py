"""Run: all that is known of a training but its points, and how its events change that."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from onstage.callbacks.monitor import direction_of_name
from onstage_live.blocks import Point

SILENT_AFTER = 40.0
"""Seconds without a sign of life after which a run counts as silent."""
SHORT, LONG = 300, 10_000
"""Limits of the length of texts."""
_METRICS, _PARAMS = 1000, 1000
_NO_METRICS = {"event", "epoch", "batch", "non_finite", "wall_time"}
_WHOLE = 2**53
_SHOWN = (
    *("id", "model", "why", "started", "finished", "epochs", "epoch", "steps", "best", "last"),
    *("params", "callbacks", "host", "pid", "pinned", "note", "colour", "asked"),
)


class Values(NamedTuple):
    """Values of one event, for the metrics of a kind."""

    kind: Literal["epoch", "batch"]
    epoch: float
    time: float
    values: dict[str, float]


@dataclass
class Run:
    """A training.

    Attributes
    ----------
    state
        As the events tell it: ``"running"``, ``"finished"``, ``"stopped"`` or ``"failed"``.
    epoch, steps
        Complete epochs and training batches so far.
    progress
        The same as a fractional number of epochs.
    begun, origin
        Time and progress when the current attempt began.
    counts
        Number of values by kind and metric: ``{"epoch": {"loss": 3}}``.
    attempt, earlier, sequence
        Name of the sender's attempt, those before, number of the last event.
    peer
        Address of a sender without a name for its run, such as Keras's.
    asked
        Reason of a stop that was asked for.
    """

    id: str
    started: float
    name: str = ""
    model: str = ""
    state: str = "running"
    why: str | None = None
    updated: float = 0.0
    finished: float | None = None
    epochs: int | None = None
    epoch: int = 0
    steps: int = 0
    steps_per_epoch: int | None = None
    progress: float = 0.0
    begun: float | None = None
    origin: float | None = None
    best: dict[str, dict[str, float]] = field(default_factory=dict)
    last: dict[str, float | None] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=lambda: {"epoch": {}, "batch": {}})
    params: dict[str, Any] = field(default_factory=dict)
    callbacks: list[str] = field(default_factory=list)
    host: str = ""
    pid: int = 0
    attempt: str = ""
    earlier: list[str] = field(default_factory=list)
    sequence: int = -1
    pinned: bool = False
    note: str = ""
    colour: str | None = None
    peer: str | None = None
    asked: str | None = None

    def accept(self, event: Mapping[str, Any], now: float) -> Values | None:
        """Apply an event, and return its values, if it has any."""
        kind = event.get("event", "epoch_end")
        epoch, batch = _whole(event.get("epoch")), _whole(event.get("batch")) or 0
        moment = _moment(event.get("wall_time"), now)
        match kind:
            case "train_begin" | "train_resume":
                self.begun, self.origin = now, None
                self._begin(event, moment)
            case "train_batch_end":
                self.steps += 1
                steps = self.steps_per_epoch
                # Without a known length, a value between 0 and 1 that grows.
                part = min(1.0, (batch + 1) / steps) if steps else 1 - 1 / (batch + 2)
                self.progress = (epoch or 0) + part
                if self.origin is None:
                    self.begun = self.begun or now
                    self.origin = self.progress - (1 / steps if steps else part)
                return Values("batch", self.progress, moment, self._values(event, ""))
            case "test_batch_end":
                prefix = "test_" if epoch is None else "val_"
                return Values("batch", self.progress, moment, self._values(event, prefix))
            case "test_end" if epoch is None:
                return Values("epoch", self.progress, moment, self._values(event, "test_"))
            case "epoch_end":
                return self._end_epoch(epoch, event, moment)
            case "train_end" | "exception":
                self._end(event, moment)
        return None

    def _begin(self, event: Mapping[str, Any], moment: float) -> None:
        if event["event"] == "train_begin":
            self.started = moment
        self.state, self.why, self.finished, self.asked = "running", None, None, None
        self.name = self.name or clean(event.get("name"))
        self.model, self.host = clean(event.get("model")), clean(event.get("host"))
        self.pid, self.epochs = _whole(event.get("pid")) or 0, _whole(event.get("epochs"))
        params, callbacks = event.get("params"), event.get("callbacks")
        if isinstance(params, dict):
            self.params = {clean(name): _plain(params[name]) for name in list(params)[:_PARAMS]}
        if isinstance(callbacks, list):
            self.callbacks = [clean(each) for each in callbacks[:_PARAMS]]
        self.steps_per_epoch = _whole(self.params.get("steps")) or None

    def _end_epoch(self, epoch: int | None, event: Mapping[str, Any], moment: float) -> Values:
        known = self.steps_per_epoch
        self.epoch = self.epoch + 1 if epoch is None else epoch + 1
        if self.origin is None:
            self.begun, self.origin = self.begun or moment, float(self.epoch - bool(self.begun))
        self.progress = float(self.epoch)
        if known is None and self.steps:
            self.steps_per_epoch = max(1, round(self.steps / self.epoch))
        values = self._values(event, "")
        for name, value in values.items():
            self._note_best(name, value, self.epoch)
        return Values("epoch", self.progress, moment, values)

    def forget(self) -> None:
        """Forget the results; `recall` finds those of the points that are kept."""
        self.epoch = self.steps = 0
        self.progress, self.best, self.last = 0.0, {}, {}

    def recall(self, kind: str, metric: str, points: Sequence[Point]) -> None:
        """Take the results from the points of a metric."""
        last = points[-1]
        self.steps, self.progress = max(self.steps, last.step), max(self.progress, last.epoch)
        if kind == "epoch" or metric not in self.last:
            self.last[metric] = last.value if math.isfinite(last.value) else None
        if kind == "epoch":
            self.epoch = max(self.epoch, int(last.epoch))
            for point in points:
                self._note_best(metric, point.value, int(point.epoch))

    def epoch_seconds(self) -> float:
        """Return the seconds that an epoch took so far, without the first."""
        return (self.updated - self.started) / max(1, self.epoch - 1)

    def _note_best(self, name: str, value: float, epoch: int) -> None:
        direction = direction_of_name(name.removeprefix("val_"))
        if direction is None or not math.isfinite(value):
            return
        best = self.best.get(name)
        if best is None or (value > best["value"] if direction == "max" else value < best["value"]):
            self.best[name] = {"value": value, "epoch": epoch}

    def _end(self, event: Mapping[str, Any], moment: float) -> None:
        if self.state != "running":
            return
        self.finished = moment
        reason, error = clean(event.get("stop_reason")), clean(event.get("error"))
        if error:
            self.state, self.why = "stopped" if event.get("interrupted") else "failed", error
        elif reason:
            by = clean(event.get("stopped_by"))
            self.state, self.why = "stopped", f"{by}: {reason}" if by else reason
        else:
            self.state = "finished"

    def _values(self, event: Mapping[str, Any], prefix: str) -> dict[str, float]:
        flags = event.get("non_finite")
        flags = flags if isinstance(flags, dict) else {}
        found = {}
        for given, value in event.items():
            if given in _NO_METRICS:
                continue
            number = _number(flags.get(given) if value is None else value)
            if number is None:
                continue
            name = clean(given if given.startswith(prefix) else prefix + given)
            if name in self.last or len(self.last) < _METRICS:
                found[name] = number
                self.last[name] = number if math.isfinite(number) else None
        return found

    # -- for the page

    def shown_state(self, heard: float, now: float) -> str:
        """Return the state; ``"silent"`` if a running one was last heard too long ago."""
        return "silent" if self.state == "running" and now - heard > SILENT_AFTER else self.state

    def label(self) -> str:
        """Return the name that was given, or model and begin."""
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.started))
        return self.name or f"{self.model or 'run'} · {since}"

    def eta(self) -> float | None:
        """Return the seconds that remain at the pace so far; None if unknown."""
        if self.state != "running" or not self.epochs or self.begun is None or self.origin is None:
            return None
        done, left = self.progress - self.origin, max(0.0, self.epochs - self.progress)
        is_known = done > 0 and (self.steps_per_epoch or not self.steps)
        return (self.updated - self.begun) / done * left if is_known else None

    def public(self, heard: float, now: float) -> dict[str, Any]:
        """Return what the page shows."""
        names = dict.fromkeys([*self.counts["epoch"], *self.counts["batch"]])
        metrics = [
            {"name": name, "kinds": [kind for kind in self.counts if name in self.counts[kind]]}
            for name in names
        ]
        return {
            **{name: getattr(self, name) for name in _SHOWN},
            "name": self.label(),
            "state": self.shown_state(heard, now),
            "updated": max(heard, self.updated),
            "eta": self.eta(),
            "metrics": metrics,
            "attempt": len(self.earlier) + 1,
            "count": self.count(),
        }

    def count(self) -> int:
        """Return the number of values."""
        return sum(sum(kind.values()) for kind in self.counts.values())


def clean(text: object, limit: int = SHORT) -> str:
    """Return text from outside, limited in length and without lone surrogates; "" for None."""
    return "" if text is None else str(text)[:limit].encode(errors="replace").decode()


def _plain(value: object) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if isinstance(value, bool) or _whole(value) is not None else clean(value)


def _number(value: object) -> float | None:
    """Return a number, also of the text of one that JSON can't hold."""
    if isinstance(value, str) and value not in ("nan", "inf", "-inf"):
        return None
    try:
        return float(value) if isinstance(value, (int, float, str)) else None
    except OverflowError:  # an int of hundreds of digits
        return None


def _whole(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():  # Keras on some backends
        value = int(value)
    return value if type(value) is int and 0 <= value < _WHOLE else None


def _moment(value: object, now: float) -> float:
    """Return the time that a sender tells, unless it is none."""
    known = isinstance(value, (int, float)) and 0 < value < 1e11
    return float(value) if known and isinstance(value, (int, float)) else now
