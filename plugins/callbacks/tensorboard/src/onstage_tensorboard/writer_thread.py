"""AsyncWriter: writes the event files of a training in a background thread."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from onstage.state.background import BackgroundQueue
from onstage_tensorboard import summaries
from onstage_tensorboard.event_file import EventFile, Positions
from onstage_tensorboard.protos import Event

Build: TypeAlias = Callable[..., list[Any]]
"""Makes the values of one event; called in the background thread."""

_Job: TypeAlias = tuple[str, int, float, Build, tuple[Any, ...]]
"""Run, step, seconds since 1970, build and its arguments."""

_WAITING = 8192
_INTERVAL = 0.5
"""Seconds between two writes."""
_HEAVY_WAITING = 2


class AsyncWriter:
    """Writes events, in order, to one file for each run.

    The background thread makes the content of an event (a histogram, an image)
    and writes it. At most 8,192 events wait, 2 of them heavy; then `add` waits.
    A forked child writes nothing: the files are its parent's.

    Parameters
    ----------
    log_dir
        Holds a directory for each run; the run ``.`` is log_dir itself.
    series
        Suffix of the files' names, by which `truncate_after` finds the files of a training.
    """

    def __init__(self, log_dir: str | os.PathLike[str], series: str) -> None:
        self._log_dir = Path(log_dir)
        self._series = series
        self._files: dict[str, EventFile] = {}
        self._heavy = 0
        self._to_disk = False
        self._queue = BackgroundQueue("onstage-tensorboard", self._write, _WAITING, interval=_INTERVAL)

    def add(self, run: str, step: int, build: Build, *args: Any, heavy: bool = False) -> None:
        """Write an event; raise the error of an earlier one, once.

        Parameters
        ----------
        build, *args
            ``build(*args)`` makes the values. The arguments must not change any more.
        heavy
            Whether the arguments take much memory.
        """
        if self._queue.is_forked:
            return
        if heavy:
            self._heavy += 1
            if self._heavy > _HEAVY_WAITING:
                self._queue.sync()
                self._heavy = 1
        self._queue.put((run, step, time.time(), build, args))
        if heavy:
            self._queue.wake()

    def scalars(self, run: str, step: int, pattern: str, values: Mapping[str, float]) -> None:
        """Write one point of each curve; see `summaries.scalars`."""
        self.add(run, step, summaries.scalars, pattern, values)

    def sync(self) -> Positions:
        """Wait until all events are on disk, and return the lengths of the files.

        An error of the writing is raised by the next `add`, not here.
        """
        if self._queue.is_forked:
            return {}
        self._to_disk = True
        self._queue.sync()
        self._to_disk = False
        return {run: {file.name: file.size} for run, file in self._files.items()}

    def close(self) -> Positions:
        """Write all events, close the files and end the thread.

        Raises
        ------
        OSError
            An event could not be written since the last `add`.
        """
        positions = self.sync()
        try:
            self._queue.close()
        finally:
            for file in self._files.values():
                file.close()
        return positions

    # -- the thread

    def _write(self, jobs: list[_Job]) -> None:
        for run, step, wall_time, build, args in jobs:
            if values := build(*args):
                event = Event(wall_time=wall_time, step=step)
                event.summary.value.extend(values)
                self._file_of(run).append(event)
        for file in self._files.values():
            file.flush(self._to_disk)

    def _file_of(self, run: str) -> EventFile:
        if run not in self._files:
            self._files[run] = EventFile(self._log_dir / run, self._series)
        return self._files[run]
