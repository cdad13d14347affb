"""History: the record of a run; called last, except for the progress bar."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from onstage.callbacks._base import Callback
from onstage.callbacks.monitor import Monitor
from onstage.errors import StateError
from onstage.logs import Logs, as_number
from onstage.model import Array, State
from onstage.reporting._record import describe_end, metric_table
from onstage.validation import validate_state


class History(Callback):
    """The metrics of every epoch, and how the training ended; ``fit`` returns it.

    Attributes
    ----------
    history
        Metric name to the list of its values, one for each epoch that had it.
    epoch
        Numbers of the epochs that ran, from 0.
    epochs_of
        Metric name to the epochs of its values: shorter than `epoch` for
        validation metrics under ``validation_freq``.
    stop_reason, stopped_by
        Reason for a stop before the last epoch, and the callback that asked
        for it; None without.
    restored
        Whether the training ended with the weights of the best epoch.
    plugins
        The callbacks of the run in call order: dicts of ``name``,
        ``distribution``, ``version``, ``options``.
    disabled
        Names of the callbacks that failed and were removed; a warning at the
        end of the training repeats them.

    Examples
    --------
    >>> from onstage import Run
    >>> with Run(epochs=2) as run:
    ...     for epoch in run.epochs():
    ...         run.log(loss=1 / (epoch + 1))
    >>> run.history
    <History: 2 epochs of loss>
    >>> run.history.history
    {'loss': [1.0, 0.5]}
    """

    adds_logs: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []
        self.epochs_of: dict[str, list[int]] = {}
        self.stop_reason: str | None = None
        self.stopped_by: str | None = None
        self.restored = False
        self._decided: tuple[str, int] | None = None
        self.plugins: list[dict[str, Any]] = []
        self.disabled: list[str] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Clear the record of an earlier run."""
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Append the values of the epoch, including those that callbacks added."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(as_number(value))
            self.epochs_of.setdefault(name, []).append(epoch)
        self._read_best()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Note the best epoch, and whether its weights were restored."""
        stopper = self._read_best()
        keeps = getattr(stopper, "restore_best_weights", False) is True
        self.restored = keeps and getattr(stopper, "best_weights", None) is not None

    def _read_best(self) -> object:
        """Note the best epoch of a callback with the attributes of Keras's EarlyStopping, and return it."""
        plugins = [] if self.run is None else self.run.bus.plugins()
        for plugin in (one for _, one in plugins if one is not self):
            epoch, monitor = getattr(plugin, "best_epoch", None), getattr(plugin, "monitor", None)
            if not isinstance(epoch, int) or getattr(plugin, "best", None) is None:
                continue
            first = monitor[0] if isinstance(monitor, (list, tuple)) and monitor else monitor
            if isinstance(first, str):
                self._decided = (first, epoch)
                return plugin
        return None

    @property
    def best_epoch(self) -> int | None:
        """Number of the best epoch, from 0; None if there is none.

        As EarlyStopping, or another callback with its attributes ``monitor``,
        ``best`` and ``best_epoch``, decided; without one, that of the lowest
        ``val_loss``, or ``loss``.
        """
        decided = self.best(self._decided[0]) if self._decided is not None else None
        best = decided or self.best("val_loss") or self.best("loss")
        return None if best is None else best[0]

    def best(self, name: str) -> tuple[int, float] | None:
        """Return epoch, from 0, and value of a metric's best.

        None if no value is finite, or if neither the model's metrics nor the
        name tell whether lower or higher is better.
        """
        pairs = zip(self.epochs_of.get(name, ()), self.history.get(name, ()), strict=True)
        finite = {epoch: x for epoch, x in pairs if isinstance(x, float) and math.isfinite(x)}
        if self._decided is not None and self._decided[0] == name and self._decided[1] in finite:
            return self._decided[1], finite[self._decided[1]]
        direction = Monitor(name).direction_for(self.model)
        if not finite or direction is None:
            return None
        return (max if direction == "max" else min)(finite.items(), key=lambda point: point[1])

    def state_dict(self) -> State:
        """Return the record of metrics, numbers as arrays.

        A backup in each epoch of a long run writes all of it: as arrays it is small.
        """
        return {
            "history": {name: _packed(values, float) for name, values in self.history.items()},
            "epoch": _packed(self.epoch, int),
            "epochs_of": {name: _packed(epochs, int) for name, epochs in self.epochs_of.items()},
        }

    def load_state_dict(self, state: State) -> None:
        """Continue the record of an earlier run."""
        history, epoch, epochs_of = validate_state(
            state, history=dict, epoch=(list, np.ndarray), epochs_of=dict
        )
        unpacked = (
            {name: _unpacked(values) for name, values in history.items()},
            _unpacked(epoch),
            {name: _unpacked(epochs) for name, epochs in epochs_of.items()},
        )
        self.history, self.epoch, self.epochs_of = unpacked

    def plot(self, target: Any = None) -> Any:
        """Draw metrics, validation and learning rate; return the matplotlib figure.

        A notebook shows the picture. ``history.plot("training.png")`` writes it,
        ``history.plot(axes)`` draws into existing matplotlib axes; `onstage.plot`
        draws several runs. Requires ``pip install 'onstage[plot]'``.
        """
        from onstage.reporting._plot import plot

        return plot(self, target)

    def __repr__(self) -> str:
        by = f" by {self.stopped_by}" if self.stopped_by else ""
        without = f", without {', '.join(self.disabled)}" if self.disabled else ""
        ended = f", stopped{by}: {self.stop_reason}" if self.stop_reason else ""
        return (
            f"<History: {len(self.epoch)} epochs of {', '.join(self.history) or 'nothing'}{ended}{without}>"
        )

    def __str__(self) -> str:
        return "\n".join([self._headline(), *([metric_table(self).text()] if self.history else [])])

    def _repr_html_(self) -> str:
        """Return curves, if matplotlib is installed, and a table of the last and best values."""
        from html import escape

        parts = [f"<div>{escape(self._headline())}</div>"]
        if self.history:
            from onstage.reporting._plot import encode_picture

            picture = encode_picture(self)
            if picture:
                names = escape(", ".join(self.history), quote=True)
                parts.append(f'<img alt="curves of {names}" src="data:image/png;base64,{picture}">')
            parts.append(metric_table(self).html())
        return "\n".join(parts)

    def _headline(self) -> str:
        count = len(self.epoch)
        best = self.best_epoch
        restored = ", restored" if self.restored else ""
        parts = [f"{count} epoch{'' if count == 1 else 's'}", describe_end(self)]
        parts.append("" if best is None else f"best epoch {best + 1}{restored}")
        return f"History: {'; '.join(filter(None, parts))}"


def _packed(values: list[Any], kind: type[float] | type[int]) -> list[Any] | Array:
    """Convert Python numbers of one type to an array; copy any other list."""
    return np.array(values, kind) if set(map(type, values)) == {kind} else list(values)


def _unpacked(saved: object) -> list[Any]:
    if isinstance(saved, np.ndarray) and saved.ndim == 1:
        numbers: list[Any] = saved.tolist()
        return numbers
    if isinstance(saved, list):
        return list(saved)
    raise StateError(f"a saved record must have a list for each metric, got {type(saved).__name__}")
