"""One output in a notebook for a whole training: its progress and a table of its epochs."""

from __future__ import annotations

import sys
from html import escape
from importlib import import_module
from time import perf_counter
from typing import Any

from onstage import History, Logs
from onstage.context import RunContext
from onstage.errors import show_text
from onstage.reporting import describe_end, epoch_table, format_value
from onstage_progbar_logger.progress import Progress
from onstage_progbar_logger.text import clock, duration


def in_notebook() -> bool:
    """Return whether this program is a notebook's, whose outputs can be updated in place."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")


class Notebook:
    """Shows a training, an evaluation or a prediction in one output of a cell.

    The output is plain text and HTML of tables alone, updated by the display id
    of the Jupyter protocol: a saved notebook holds it as it was at the end.

    Parameters
    ----------
    run
        The run, whose `History` has the epochs; None for a callback without a run.
    epochs
        Number of the last epoch, from 1; None if unknown.
    """

    interval = 0.2  # each update sends the whole output

    def __init__(self, run: RunContext | None, epochs: int | None) -> None:
        plugins = [plugin for _, plugin in run.bus.plugins()] if run is not None else []
        self._history = next((one for one in plugins if isinstance(one, History)), History())
        self._epochs = epochs
        self._handle: Any = None
        self._next_update = 0.0
        self._began = perf_counter()
        self._progress: Progress | None = None
        self._is_open = False

    def start(self, text: str) -> None:
        """Do nothing: the cell has the program that started."""

    def open(self, progress: Progress) -> None:
        """Begin an epoch, an evaluation or a prediction."""
        self._is_open = True
        self.show(progress)

    def show(self, progress: Progress) -> None:
        """Show the progress, if the last update is long enough ago: short epochs are shown together."""
        self._progress = progress
        if perf_counter() >= self._next_update:
            share = progress.share
            bar = "" if share is None else f'<progress value="{share:.3f}"></progress> '
            self._update(_describe(progress), bar)

    def finish(self, progress: Progress) -> None:
        """End the epoch, which is a row of the table now; or show the line of an evaluation."""
        self._is_open = False
        self._progress = progress
        if progress.epoch is None:
            steps = f"{progress.done} steps in {duration(progress.seconds)}"
            self._update(f"{progress.title}: {', '.join([steps, *_metrics(progress.metrics)])}")
        elif perf_counter() >= self._next_update:
            self._update(f"{progress.title}: done")

    def close(self) -> None:
        """Show the final state of a training, or where it was interrupted."""
        progress, self._progress = self._progress, None
        took = duration(perf_counter() - self._began)
        if progress is None or (progress.epoch is None and not self._is_open):
            return
        if self._is_open:
            self._update(f"{progress.title}: interrupted after {took}")
            return
        count, last = len(self._history.epoch), (progress.epoch or 0) + 1
        of = f" of {self._epochs}" if self._epochs and self._epochs != last else ""
        text = f"{count}{of} {'epoch' if count == 1 and not of else 'epochs'} in {took}"
        self._update(", ".join(filter(None, [text, describe_end(self._history)])))

    def _update(self, line: str, bar: str = "") -> None:
        self._next_update = perf_counter() + self.interval
        text, html = [line], [f"<div>{bar}{escape(line)}</div>"]
        if self._history.epoch:
            table = epoch_table(self._history)
            text, html = [*text, table.text()], [*html, table.html()]
        # Imported when used: only a notebook has it.
        display: Any = import_module("IPython.display").display
        bundle = {"text/plain": "\n\n".join(text), "text/html": "\n".join(html)}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


def _describe(progress: Progress) -> str:
    """Return the line of a training in progress."""
    parts = [f"{progress.count.strip()}{'' if progress.validates else ' steps'}", *_metrics(progress.metrics)]
    if progress.left is not None:
        parts.append(f"{clock(progress.left)} left")
    if progress.left_in_all is not None:
        parts.append(f"{clock(progress.left_in_all)} for all epochs")
    return show_text(f"{progress.title}: {', '.join([*parts, *progress.notes])}", limit=2000)


def _metrics(logs: Logs) -> list[str]:
    return [f"{show_text(name)} {show_text(format_value(value), 40)}" for name, value in logs.items()]
