"""EventLog: the event files of a training, which a background thread writes."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import struct
import tempfile
import time
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeAlias

import google_crc32c

from onstage.errors import StateError, warn
from onstage.model import State
from onstage.state.background import BackgroundQueue
from onstage.state.lock import FileLock
from onstage.validation import validate_state

_Job: TypeAlias = tuple[str, Callable[..., Any], tuple[Any, ...]]
"""Run, function that makes the event, its arguments."""

_RUNS = ("train", "validation", ".")
"""Directories of the files; ``.`` is the log directory itself."""
_SERIES = re.compile(r"onstage-[0-9a-f]{8}")
_HOST = re.sub(r"[^A-Za-z0-9-]", "_", socket.gethostname())[:64]
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_WAITING, _HEAVY_WAITING = 8192, 2
_INTERVAL = 0.5
"""Seconds between two writes."""


class EventLog:
    """Event files of the runs in `log_dir`, locked against other trainings.

    A background thread makes the events and writes them, in order. At most
    8,192 wait, 2 of them heavy; then `add` waits. A forked child writes nothing.
    """

    def __init__(self, log_dir: str) -> None:
        self.log_dir = log_dir
        self.is_open = False
        self._series = f"onstage-{secrets.token_hex(4)}"
        self._lengths: dict[str, dict[str, int]] = {}
        self._files: dict[str, _EventFile] = {}
        self._failure: Exception | None = None
        self._heavy = 0
        self._to_disk = False
        self._lock = FileLock(Path(log_dir, ".lock"), f"log_dir {log_dir!r}")
        self._queue = BackgroundQueue("onstage-tensorboard", self._write, _WAITING, interval=_INTERVAL)

    def open(self) -> None:
        """Make and lock the directory; raise OSError or RuntimeError, if it is in use."""
        if self.is_open:
            return
        try:
            os.makedirs(self.log_dir, exist_ok=True)
            self._lock.acquire()
            for folder in (Path(self.log_dir, run) for run in _RUNS):
                if folder.exists():
                    tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            self._lock.release()
            reason = f"log_dir must be a directory that can be written, got {self.log_dir!r} ({error})"
            raise OSError(f"{reason}; use another one, or change its permissions") from error
        self.is_open, self._failure = True, None

    def add(self, run: str, make: Callable[..., Any], *args: Any, heavy: bool = False) -> None:
        """Write the event ``make(*args)``, None for none; raise the error of an earlier one.

        Parameters
        ----------
        make, *args
            Called by the thread. The arguments must not change any more.
        heavy
            Whether the arguments take much memory.
        """
        if not self.is_open:
            self.open()
        if self._failure is not None:
            self._raise()
        if self._queue.is_forked:
            return
        if not heavy:
            self._queue.put((run, make, args))
            return
        self._heavy += 1
        if self._heavy > _HEAVY_WAITING:
            self._queue.sync()
            self._heavy = 1
        self._queue.put((run, make, args))
        self._queue.wake()

    def add_foreign(self, run: str, event: Any) -> None:
        """Write an event of another callback, which does not get our errors; drop it if we are closed."""
        if self.is_open and self._failure is None:
            try:
                self.add(run, lambda: event, heavy=event.ByteSize() > 1 << 16)
            except Exception as error:
                self._failure = error  # raised by the next `add` or `close`

    def sync(self) -> None:
        """Wait until all events are on disk. An error is raised by the next `add`."""
        if self._queue.is_forked:
            return
        self._to_disk = True
        self._queue.sync()
        self._to_disk = False
        for run, file in self._files.items():
            self._lengths.setdefault(run, {})[file.name] = file.size

    def close(self) -> None:
        """Write all events, close the files, release the directory; raise the error of an earlier event."""
        self.is_open = False
        try:
            self._close_files()
        finally:
            self._lock.release()

    def _close_files(self) -> None:
        self.sync()
        files, self._files = self._files, {}
        try:
            self._queue.close()
        finally:
            for file in files.values():
                file.close()
        self._raise()

    def _raise(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _write(self, jobs: list[_Job]) -> None:
        records: dict[str, list[bytes]] = {}
        for run, make, args in jobs:
            if (event := make(*args)) is not None:
                records.setdefault(run, []).append(_record(event.SerializeToString()))
        for run, of_run in records.items():
            if run not in self._files:
                self._files[run] = _EventFile(Path(self.log_dir, run), self._series)
            self._files[run].append(of_run)
        if self._to_disk:
            for file in self._files.values():
                file.sync()

    def state_dict(self) -> State:
        """Return the lengths of the files, after writing all events to disk."""
        self.sync()
        return {"series": self._series, "files": {run: dict(files) for run, files in self._lengths.items()}}

    def load_state_dict(self, state: State) -> None:
        """Return to a saved state: cut off the events written after it.

        Of the files of the training, those that did not exist then are deleted. A
        ``purge_step`` would not do: batches and epochs have different steps.
        """
        series, runs = validate_state(state, series=str, files=dict)
        if not _SERIES.fullmatch(series):
            raise StateError(f"series must be 'onstage-' and 8 hexadecimal digits, got {series!r}")
        for run, files in runs.items():
            validate_state(files, **dict.fromkeys(files, int))
            if run not in _RUNS:
                raise ValueError(f"files must be those of train, validation and '.', got {run!r}")
        self._close_files()
        self._series, self._lengths = series, {run: dict(files) for run, files in runs.items()}
        for run in _RUNS:
            saved = dict(self._lengths.get(run, {}))
            for path in Path(self.log_dir, run).glob(f"events.out.tfevents.*.{series}"):
                if path.name not in saved:
                    path.unlink()
                elif path.stat().st_size >= saved[path.name]:
                    os.truncate(path, saved.pop(path.name))
            for name in saved:
                lost = f"TensorBoard cannot find all earlier events: {Path(self.log_dir, run, name)}"
                warn(f"{lost} is gone, or shorter")

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "is_open": False, "_files": {}, "_failure": None}


class _EventFile:
    """One event file: whole records, also on a full disk; a forked child has no buffer to repeat."""

    def __init__(self, folder: Path, series: str) -> None:
        from onstage_tensorboard.summaries import first_event

        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a run by name; the microseconds put a new one last.
        self.name = f"events.out.tfevents.{time.time():.6f}.{_HOST}.{os.getpid()}.{series}"
        self._path = folder / self.name
        self._descriptor = os.open(self._path, _NEW_FILE, 0o666)
        self.size = 0
        self.append([_record(first_event().SerializeToString())])

    def append(self, records: list[bytes]) -> None:
        content, written = memoryview(b"".join(records)), 0
        try:
            while written < len(content):
                written += os.write(self._descriptor, content[written:])
        except OSError as error:
            ends = accumulate(len(record) for record in records)
            written = max((end for end in ends if end <= written), default=0)
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self.size + written)
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        finally:
            self.size += written

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def _record(data: bytes) -> bytes:
    """Return a TFRecord: length, its checksum, data, their checksum (TensorFlow's ``record_writer.h``)."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, _masked_crc(length), data, _masked_crc(data)))


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
