"""ProgbarLogger: the callback. It follows the steps, and draws them now and then."""

from __future__ import annotations

import sys
from math import inf
from time import perf_counter
from typing import ClassVar, Literal, Protocol, TextIO

from onstage import Callback, Logs
from onstage.context import RunContext
from onstage.hookspecs import ignores_logs
from onstage.validation import validate_bool, validate_float
from onstage_progbar_logger.lines import Lines
from onstage_progbar_logger.notebook import Notebook, in_notebook
from onstage_progbar_logger.progress import Loop, Progress


class Display(Protocol):
    """Where the progress is shown: a bar, lines, or the output of a notebook's cell."""

    interval: float

    def start(self, text: str) -> None:
        """Show what trains."""

    def open(self, progress: Progress) -> None:
        """Begin an epoch, an evaluation or a prediction."""

    def show(self, progress: Progress) -> None:
        """Show it again, after `interval` seconds."""

    def finish(self, progress: Progress) -> None:
        """End it."""

    def close(self) -> None:
        """End the display, or leave what is open, after an error."""


class ProgbarLogger(Callback):
    """Show the progress and metrics of training, evaluation and prediction.

    ``fit(verbose=…)`` sets the display: 0 nothing, 1 a bar, 2 a line at the end
    of each epoch; ``"auto"`` a bar on a terminal. A notebook gets a table of the
    epochs in place of a bar. A file or a pipe gets a line when training starts,
    one every `log_every` seconds, and one after each epoch, without control
    characters.

    While a bar is open, all that the program prints stands above it. A stream
    that fails (a closed pipe, a full disk) ends the display, not the training.

    Parameters
    ----------
    file
        File to write to; None means ``sys.stdout`` at the start of the run.
    log_every
        Seconds between two lines in a file, > 0.
    timestamps
        Whether lines in a file begin with date and time.

    Raises
    ------
    TypeError, ValueError
        If file has no ``write``, or another argument is invalid.
    """

    on_error: Literal["raise", "disable"] = "disable"
    adds_logs: ClassVar[tuple[str, ...]] = ()
    shows_progress: ClassVar[bool] = True
    optional = ("batches",)
    ranks: ClassVar[Literal["zero", "all"]] = "zero"

    def __init__(
        self, *, file: TextIO | None = None, log_every: float = 60.0, timestamps: bool = False
    ) -> None:
        if file is not None and not hasattr(file, "write"):
            raise TypeError(f"file must be an open text file or None, got {file!r}")
        self.file = file
        self.log_every = validate_float("log_every", log_every, 0, exclude=(0,))
        self.timestamps = validate_bool("timestamps", timestamps)
        self._reset()

    def _reset(self) -> None:
        self._display: Display | None = None
        self._loop = self._train = Loop(None, 0.0)
        self._title = ""
        self._epoch: int | None = None
        self._next_draw = inf
        self._steps: int | None = self.params.get("steps")
        self._test_steps: int | None = None
        self._after_steps = 0.0  # seconds of an epoch after its steps: validation, callbacks

    # -- training

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Reset the state of an earlier run, and tell what trains."""
        self._begin()
        if self._display is not None and self.run is not None:
            self._display.start(self._describe_run(self.run))

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Open the display of the epoch."""
        if not self._title:
            self._begin()
        self._epoch = epoch
        epochs = self.params.get("epochs")
        self._open(f"Epoch {epoch + 1:>{len(str(epochs))}}/{epochs}" if epochs else f"Epoch {epoch + 1}")

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Count the step, and draw it if it is time."""
        loop = self._train
        if batch and not loop.done:
            loop.first = batch  # earlier batches took no time in this run
        loop.done = batch + 1
        loop.logs = logs  # not read before the next redraw: reading computes the metrics
        loop.last = now = perf_counter()
        if now >= self._next_draw:
            self._draw()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Finish the display of the epoch, with validation metrics."""
        train = self._train
        if self._steps is None:
            self._steps = train.done  # known after the first epoch
        self._after_steps = perf_counter() - train.began - train.worked
        self._loop = train
        self._finish(logs)
        self._epoch = None

    # -- evaluation, validation, prediction

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Begin a validation, or open the display of an evaluation."""
        if self._epoch is None:
            self._begin()
            self._open("Evaluate")
        else:
            self._train.pause()
            self._loop = Loop(self._test_steps, perf_counter())

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Count the step, and draw it if it is time."""
        loop = self._loop
        loop.done = batch + 1
        loop.logs = logs
        loop.last = now = perf_counter()
        if now >= self._next_draw:
            self._draw()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Finish the display of an evaluation."""
        if self._epoch is None:
            self._finish(logs)
        else:
            self._test_steps = self._loop.done
            self._loop = self._train
            self._train.resume(perf_counter())

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Open the display."""
        self._begin()
        self._open("Predict")

    @ignores_logs
    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Count the step, and draw it if it is time."""
        self.on_test_batch_end(batch)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Finish the display."""
        self._finish(None)

    def on_teardown(self) -> None:
        """Close the display."""
        if self._display is not None:
            self._display.close()
        self._reset()

    # -- drawing

    def _begin(self) -> None:
        self._reset()
        stream = self.file or sys.stdout
        verbose = self.params.get("verbose", "auto")
        if stream is None or verbose == 0:
            return
        if self.file is None and verbose in (1, "auto") and in_notebook():
            self._display = Notebook(self.run, self.params.get("epochs"))
        elif _wants_bar(verbose, stream):
            self._display = self.make_bar(stream)
        else:
            interval = self.log_every if verbose == "auto" else inf
            self._display = Lines(stream, interval, timestamps=self.timestamps)

    def make_bar(self, stream: TextIO) -> Display:
        """Return the display of a terminal, for a subclass to replace."""
        from onstage_progbar_logger.bar import Bar  # imported late: log files don't need tqdm

        return Bar(stream)

    def _open(self, title: str) -> None:
        self._title = title
        self._loop = self._train = Loop(self._steps, perf_counter())
        if self._display is not None:
            self._display.open(self._progress())
            self._next_draw = perf_counter() + self._display.interval

    def _draw(self) -> None:
        if self._display is not None:
            self._display.show(self._progress())
            self._next_draw = perf_counter() + self._display.interval

    def _finish(self, logs: Logs | None) -> None:
        self._next_draw = inf
        if self._display is not None:
            self._display.finish(self._progress(logs, finished=True))

    def _progress(self, logs: Logs | None = None, *, finished: bool = False) -> Progress:
        now = perf_counter()
        loop, train = self._loop, self._train
        validates = loop is not train
        shown = dict(logs or {}) if finished else dict(train.logs or {})
        if validates:
            shown |= {f"val_{name}": value for name, value in (loop.logs or {}).items()}
        left = train.left
        if left is not None and self._epoch is not None:
            left += max(self._after_steps - (now - train.last if validates else 0.0), 0.0)
        return Progress(
            title=self._title,
            epoch=self._epoch,
            done=loop.done,
            total=loop.total,
            validates=validates,
            metrics=shown,
            seconds=now - train.began,
            pace=train.pace,
            left=left,
            left_in_all=self._left_in_all(left),
            notes=self._notes(),
        )

    def _left_in_all(self, left: float | None) -> float | None:
        """Return the seconds until the last epoch ends; None if unknown, or if this is the last."""
        train = self._train
        further = (self.params.get("epochs") or 0) - (self._epoch or 0) - 1
        if left is None or train.pace is None or train.total is None or self._epoch is None or further < 1:
            return None
        return left + further * (train.total * train.pace + self._after_steps)

    def _notes(self) -> list[str]:
        """Return the words of the other callbacks about their state."""
        if self._epoch is None or self.run is None:
            return []
        tellers = [getattr(plugin, "describe_progress", None) for _, plugin in self.run.bus.plugins()]
        return [note for tell in tellers if callable(tell) and (note := tell())]

    def _describe_run(self, run: RunContext) -> str:
        """Return the line at the start of a training."""
        params = self.params
        sizes = [
            f"{params[name]} {unit}"
            for name, unit in (("epochs", "epochs"), ("steps", "steps per epoch"), ("samples", "samples"))
            if params.get(name) is not None
        ]
        if params.get("batch_size") is not None:
            sizes.append(f"batch size {params['batch_size']}")
        names = [name for name, plugin in run.bus.plugins() if plugin is not self and name != "History"]
        model = "" if self.model is None else f" {type(self.model).__name__}"
        parts = [*filter(None, [", ".join(sizes)]), f"callbacks: {', '.join(names) or 'none'}"]
        return f"Training{model}: {'; '.join(parts)}"


def _wants_bar(verbose: int | str, stream: TextIO) -> bool:
    if verbose != "auto":
        return verbose == 1
    return hasattr(stream, "isatty") and stream.isatty()
