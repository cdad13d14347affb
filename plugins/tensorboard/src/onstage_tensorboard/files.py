"""The event files of a run: written by one thread, cut back after a kill."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from tensorboardX.proto.event_pb2 import Event  # type: ignore[import-untyped]  # it has no types
from tensorboardX.proto.summary_pb2 import Summary  # type: ignore[import-untyped]  # it has no types

from onstage_tensorboard.checksum import masked_crc32c

Build: TypeAlias = Callable[..., Iterable["Summary.Value"]]
"""Makes the values of one event; called by the writing thread."""

Positions: TypeAlias = dict[str, dict[str, int]]
"""Of each run (``train``): its files, and how many bytes of them are written."""

_WAITING = 1024
_HEAVY_WAITING = 2
_PENDING = 1 << 20
"""Bytes that are held back at most while events keep coming."""
_HOST = re.sub(r"[^A-Za-z0-9-]", "_", socket.gethostname())[:64]


class _Job(NamedTuple):
    run: str
    step: int
    time: float
    build: Build
    args: tuple[Any, ...]
    heavy: bool


class EventFiles:
    """Writes events, in the order given, to one file for each run.

    What an event takes to make (a histogram, an image) and the writing are done
    by a thread. At most 1 024 events wait, and 2 heavy ones: then `add` waits.

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
        self._jobs: queue.Queue[_Job | threading.Event | None] = queue.Queue(_WAITING)
        self._heavy = threading.BoundedSemaphore(_HEAVY_WAITING)
        self._files: dict[str, _File] = {}
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
            return  # a forked child: the parent writes
        if heavy:
            self._heavy.acquire()
        self._jobs.put(_Job(run, step, time.time(), build, args, heavy))

    def sync(self) -> Positions:
        """Wait until everything given is safe on disk; say how long the files are.

        Does not raise: an error of the writing comes out of the next `add`.
        """
        positions: Positions = {}
        if not self._thread.is_alive():
            return positions
        done = threading.Event()
        self._jobs.put(done)
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
            self._jobs.put(None)
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
        while (job := self._jobs.get()) is not None:
            if isinstance(job, threading.Event):
                self._guarded(self._flush, True)
                job.set()
                continue
            self._guarded(self._write, job)
            if job.heavy:
                self._heavy.release()
            del job  # a heavy one's arrays are not kept while we wait for the next
            if self._jobs.empty():
                self._guarded(self._flush, False)

    def _guarded(self, act: Callable[..., None], *args: Any) -> None:
        if self._failed:
            return
        try:
            act(*args)
        except Exception as error:
            # Kept for the training's thread; from here on jobs are only taken off.
            self._failed, self._error = True, error

    def _write(self, job: _Job) -> None:
        values = list(job.build(*job.args))
        if not values:
            return
        if job.run not in self._files:
            self._files[job.run] = _File(self._log_dir / job.run, self._series)
        event = Event(wall_time=job.time, step=job.step, summary=Summary(value=values))
        self._files[job.run].append(event)

    def _flush(self, to_disk: bool) -> None:
        for file in self._files.values():
            file.flush(to_disk)


class _File:
    """One event file. Each write is whole records, and no buffer outlives a fork."""

    def __init__(self, folder: Path, series: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Readers go through a run's files by name; to the microsecond, a new one is the last.
        self.name = f"events.out.tfevents.{time.time():.6f}.{_HOST}.{os.getpid()}.{series}"
        self._path = folder / self.name
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        self._pending = bytearray()
        self.size = 0
        self.append(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def append(self, event: Event) -> None:
        data = event.SerializeToString()
        length = struct.pack("<Q", len(data))
        self._pending += b"".join(
            (
                length,
                struct.pack("<I", masked_crc32c(length)),
                data,
                struct.pack("<I", masked_crc32c(data)),
            )
        )
        if len(self._pending) > _PENDING:
            self.flush(False)

    def flush(self, to_disk: bool) -> None:
        records = bytes(self._pending)
        self._pending.clear()
        try:
            rest = memoryview(records)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            self.size += len(records)
            if to_disk:
                os.fsync(self._descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self.size)  # no half a record
            raise OSError(error.errno, error.strerror, str(self._path)) from error

    def close(self) -> None:
        os.close(self._descriptor)


def cut_back(log_dir: str | os.PathLike[str], series: str, positions: Positions) -> list[str]:
    """Take off what a training wrote after its state was saved.

    Files of the series are cut to the length that they had then; those that did
    not exist are removed. Others are left alone.

    Returns
    -------
    list of str
        What is shorter than it was, or gone: events in it are lost.
    """
    lost = []
    for run in positions:
        if run not in ("train", "validation", "."):
            raise ValueError(f"positions must be those of train, validation and '.', got {run!r}")
    for run in ("train", "validation", "."):
        folder, saved = Path(log_dir) / run, positions.get(run, {})
        own = {path.name: path for path in folder.glob(f"events.out.tfevents.*.{series}")}
        for name, path in own.items():
            if name not in saved:
                path.unlink()
            elif path.stat().st_size > saved[name]:
                os.truncate(path, saved[name])
        lost += [str(folder / name) for name, size in saved.items() if _length(own.get(name)) < size]
    return lost


def _length(path: Path | None) -> int:
    return -1 if path is None else path.stat().st_size
