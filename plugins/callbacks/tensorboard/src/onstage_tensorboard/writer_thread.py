"""AsyncWriter: the files of a training, written by a thread of their own."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from tensorboardX.proto.event_pb2 import Event  # type: ignore[import-untyped]  # it has no types

from onstage_tensorboard import summaries
from onstage_tensorboard.event_file import EventFile, Positions

Build: TypeAlias = Callable[..., list[Any]]
"""Makes the values of one event; called by the writing thread."""

_WAITING = 8192
_CROWD = _WAITING // 2
"""From here on the thread doesn't pause."""
_PAUSE = 0.5
"""Seconds between two looks at what waits."""
_HEAVY_WAITING = 2


_Job: TypeAlias = tuple[str, int, float, Build, tuple[Any, ...], bool]
"""Run, step, time in seconds since 1970, build and its arguments, whether it is heavy."""


class AsyncWriter:
    """Writes events, in the order given, to one file for each run.

    What an event takes to make (a histogram, an image) and the writing are done
    by a thread. At most 8 192 events wait, and 2 heavy ones: then the caller does.

    Parameters
    ----------
    log_dir
        Holds a directory for each run; the run ``.`` is log_dir itself.
    series
        Ends the files' names: by it `cut_back` knows which are a training's own.
    """

    def __init__(self, log_dir: str | os.PathLike[str], series: str) -> None:
        self._log_dir = Path(log_dir)
        self._series = series
        # A deque, looked at twice a second: an append takes 0.1 µs, and waking
        # a thread that waits in a queue takes the training 20.
        self._jobs: deque[_Job | threading.Event | None] = deque()
        self._wake = threading.Event()
        self._heavy = threading.BoundedSemaphore(_HEAVY_WAITING)
        self._files: dict[str, EventFile] = {}
        self._failed = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="onstage-tensorboard", daemon=True)
        self._thread.start()

    def add(self, run: str, step: int, build: Build, *args: Any, heavy: bool = False) -> None:
        """Have an event written; raises the error of an earlier one, once.

        Parameters
        ----------
        build, *args
            ``build(*args)`` makes the values. The arguments must not change any more.
        heavy
            The arguments take much memory.
        """
        self._raise()
        if not self._thread.is_alive():
            return
        if heavy:
            self._heavy.acquire()
        if len(self._jobs) >= _CROWD:
            self._wait_for_room()
        self._jobs.append((run, step, time.time(), build, args, heavy))
        if heavy:
            self._wake.set()

    def scalars(self, run: str, step: int, pattern: str, values: Mapping[str, float]) -> None:
        """Have a point of each of some curves written; raises the error of an earlier event, once.

        Parameters
        ----------
        pattern
            Makes a name the curve's tag: ``batch_{}``.
        values
            Name to number, one at least. They must not change any more.
        """
        if self._error is not None:
            self._raise()
        if len(self._jobs) >= _CROWD:
            self._wait_for_room()
        self._jobs.append((run, step, time.time(), summaries.scalars, (pattern, values), False))

    def _wait_for_room(self) -> None:
        if not self._thread.is_alive():
            self._jobs.clear()  # a forked child: the parent writes
            return
        self._wake.set()
        while len(self._jobs) >= _WAITING:
            time.sleep(0.001)

    def sync(self) -> Positions:
        """Wait until everything given is safe on disk; say how long the files are.

        Does not raise: an error of the writing comes out of the next `add`.
        """
        positions: Positions = {}
        if not self._thread.is_alive():
            return positions
        done = threading.Event()
        self._jobs.append(done)
        self._wake.set()
        done.wait()
        for run, file in self._files.items():
            positions.setdefault(run, {})[file.name] = file.size
        return positions

    def close(self) -> Positions:
        """Write what waits, close the files and end the thread.

        Raises
        ------
        OSError
            The writing has failed since the last `add`.
        """
        positions = self.sync()
        if self._thread.is_alive():
            self._jobs.append(None)
            self._wake.set()
            self._thread.join()
        for file in self._files.values():
            file.close()
        self._raise()
        return positions

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _work(self) -> None:
        while True:
            self._wake.wait(_PAUSE)
            self._wake.clear()
            while self._jobs:
                job = self._jobs.popleft()
                if job is None:
                    return
                if isinstance(job, threading.Event):
                    self._capturing(self._flush, True)
                    job.set()
                    continue
                self._capturing(self._write, job)
                if job[5]:
                    self._heavy.release()
                del job  # a heavy one's arrays are not kept while we wait for the next
            self._capturing(self._flush, False)

    def _capturing(self, act: Callable[..., None], *args: Any) -> None:
        if self._failed:
            return
        try:
            act(*args)
        except Exception as error:
            # Kept for the training's thread; from here on jobs are only taken off.
            self._failed, self._error = True, error

    def _write(self, job: _Job) -> None:
        run, step, wall_time, build, args, _ = job
        if values := build(*args):
            event = Event(wall_time=wall_time, step=step)
            event.summary.value.extend(values)
            self._file_of(run).append(event)

    def _file_of(self, run: str) -> EventFile:
        if run not in self._files:
            self._files[run] = EventFile(self._log_dir / run, self._series)
        return self._files[run]

    def _flush(self, to_disk: bool) -> None:
        for file in self._files.values():
            file.flush(to_disk)
