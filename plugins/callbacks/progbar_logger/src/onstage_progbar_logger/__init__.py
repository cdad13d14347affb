"""ProgbarLogger: a progress bar on a terminal, a line per epoch elsewhere."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from time import perf_counter
from typing import Any, ClassVar, Literal, TextIO

from onstage import Callback, Logs
from onstage.reporting import format_duration

__all__ = ["ProgbarLogger"]

INTERVAL = 0.05
"""Minimum time between two redraws, in seconds."""
FINISHED = "{desc}: {n_fmt}/{total_fmt} [{elapsed}, {rate_fmt}{postfix}]"
"""Format of a finished bar, in tqdm's syntax."""


class ProgbarLogger(Callback):
    """Show the progress and metrics of training, evaluation and prediction.

    ``fit(verbose=…)`` sets the display: 0 nothing, 1 a bar, 2 a line at the end
    of each epoch; ``"auto"`` a bar on a terminal and in a notebook, lines in a
    file or pipe, which so get no control characters.

    Parameters
    ----------
    file
        File to write to; None means ``sys.stdout`` at the start of the run.

    Raises
    ------
    TypeError
        If file has no ``write``.
    """

    adds_logs: ClassVar[tuple[str, ...]] = ()
    optional = ("batches",)
    ranks: ClassVar[Literal["zero", "all"]] = "zero"

    def __init__(self, *, file: TextIO | None = None) -> None:
        if file is not None and not hasattr(file, "write"):
            raise TypeError(f"file must be an open text file or None, got {file!r}")
        self.file = file
        self._reset()

    def _reset(self) -> None:
        self._bar: Any = None
        self._title = ""
        self._done = self._first = 0
        self._began = self._next_draw = 0.0
        self._epoch_open = False
        self._steps: int | None = None

    # -- training

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Reset the state of an earlier run."""
        self._reset()
        self._steps = self.params.get("steps")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Open a bar for the epoch."""
        self._epoch_open = True
        epochs = self.params.get("epochs")
        self._open(f"Epoch {epoch + 1}" + (f"/{epochs}" if epochs else ""))

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Update the bar."""
        if batch and not self._done:
            self._resume_at(batch)
        self._done = batch + 1
        self._draw(logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Finish the epoch's bar, with validation metrics."""
        self._epoch_open = False
        self._finish(logs)
        if self._steps is None:
            self._steps = self._done  # known after the first epoch

    # -- evaluation, validation, prediction

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Open a bar, except for the validation of an epoch."""
        if not self._epoch_open:
            self._reset()
            self._steps = self.params.get("steps")
            self._open("Evaluate")

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Update the bar; validation batches are counted on the epoch's bar."""
        if self._epoch_open:
            self._draw(None, f"validation {batch + 1}")
        else:
            self._done = batch + 1
            self._draw(logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Finish an evaluation's bar."""
        if not self._epoch_open:
            self._finish(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Open a bar."""
        self._reset()
        self._steps = self.params.get("steps")
        self._open("Predict")

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Update the bar."""
        self._done = batch + 1
        self._draw(None)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Finish the bar."""
        self._finish(None)

    def on_teardown(self) -> None:
        """Close the bar of a run that was aborted."""
        self._epoch_open = False
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    # -- drawing

    def _open(self, title: str) -> None:
        self._title = title
        self._done = self._first = 0
        self._began = perf_counter()
        self._next_draw = self._began + INTERVAL
        stream = self.file or sys.stdout
        if _wants_bar(self.params.get("verbose", "auto"), stream, self.file is None):
            self._bar = _new_bar(title, self._steps, stream, in_notebook=self.file is None and _in_notebook())

    def _resume_at(self, batch: int) -> None:
        """Start an epoch at a later batch; earlier batches took no time in this run."""
        self._first = batch
        if self._bar is not None:
            self._bar.initial = batch

    def _draw(self, logs: Logs | None, note: str = "") -> None:
        # Logs are not read before the next redraw: reading computes the metrics.
        if self._bar is None or perf_counter() < self._next_draw:
            return
        self._bar.n = self._done
        self._bar.set_postfix_str(note or ", ".join(_metrics(logs, "=")), refresh=False)
        self._bar.refresh()
        self._next_draw = perf_counter() + INTERVAL

    def _finish(self, logs: Logs | None) -> None:
        if self._bar is not None:
            self._bar.n = self._bar.total = self._done
            self._bar.set_postfix_str(", ".join(_metrics(logs, "=")), refresh=False)
            # No bar when finished, so that the final metrics are not truncated.
            self._bar.bar_format = FINISHED
            self._bar.dynamic_ncols = self._bar.ncols = None
            self._bar.close()
            self._bar = None
        elif self.params.get("verbose", "auto") != 0:
            took = perf_counter() - self._began
            steps = self._done - self._first
            pace = [f"{format_duration(took / steps)}/step"] if steps else []
            line = " - ".join([self._title, format_duration(took), *pace, *_metrics(logs, ": ")])
            print(line, file=self.file or sys.stdout, flush=True)


def _wants_bar(verbose: int | str, stream: Any, may_be_notebook: bool) -> bool:
    if verbose != "auto":
        return verbose == 1
    is_terminal = hasattr(stream, "isatty") and stream.isatty()
    return is_terminal or (may_be_notebook and _in_notebook())


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules


def _new_bar(title: str, total: int | None, stream: Any, *, in_notebook: bool) -> Any:
    tqdm: Any = import_module("tqdm.auto" if in_notebook else "tqdm").tqdm
    # Without tqdm's monitor thread: the callback redraws by its own clock.
    bar = type("Bar", (tqdm,), {"monitor_interval": 0})
    return bar(desc=title, total=total, file=stream, unit="step", **_size(stream))


def _size(stream: Any) -> dict[str, Any]:
    """Return tqdm's size options; by default it follows the terminal."""
    try:
        columns, lines = os.get_terminal_size(stream.fileno())
    except (AttributeError, ValueError, OSError):
        return {"dynamic_ncols": True}
    if columns and lines:
        return {"dynamic_ncols": True}
    # Terminals in containers may report 0, for which tqdm shows nothing.
    return {"ncols": columns or 80, "nrows": lines or 24}


def _metrics(logs: Logs | None, joint: str) -> list[str]:
    return [f"{name}{joint}{_number(value)}" for name, value in (logs or {}).items()]


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4e}" if 0 < abs(value) <= 1e-3 else f"{value:.4f}"
