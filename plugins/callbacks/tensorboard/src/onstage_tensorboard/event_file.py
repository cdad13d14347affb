"""EventFile: one file of events; and the removal of events after a crash."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import time
from pathlib import Path
from typing import TypeAlias

import google_crc32c

from onstage_tensorboard.protos import Event

Positions: TypeAlias = dict[str, dict[str, int]]
"""For each run (``train``): its files and their lengths in bytes."""

RUNS = ("train", "validation", ".")
"""``.`` is the log directory itself."""

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
"""Windows would otherwise write two bytes for each line break."""
_PENDING = 1 << 20
"""Bytes buffered at most while events keep coming."""
_HOST = re.sub(r"[^A-Za-z0-9-]", "_", socket.gethostname())[:64]


class EventFile:
    """One event file. Each write is whole records, so a forked child inherits no buffer to repeat."""

    def __init__(self, folder: Path, series: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a run by name; the microseconds put a new one last.
        self.name = f"events.out.tfevents.{time.time():.6f}.{_HOST}.{os.getpid()}.{series}"
        self._path = folder / self.name
        self._descriptor = os.open(self._path, _NEW_FILE, 0o666)
        self._pending: list[bytes] = []
        self._pending_size = 0
        self.size = 0
        self.append(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def append(self, event: Event) -> None:
        """Add an event; it reaches the file with the next `flush`."""
        record = _record(event.SerializeToString())
        self._pending.append(record)
        self._pending_size += len(record)
        if self._pending_size > _PENDING:
            self.flush(to_disk=False)

    def flush(self, to_disk: bool) -> None:
        """Write the buffered events; `to_disk` waits until they are on the disk.

        Raises
        ------
        OSError
            Names the file, which then ends with the last record that fitted.
        """
        records, self._pending, self._pending_size = self._pending, [], 0
        content = memoryview(b"".join(records))
        written = 0
        try:
            while written < len(content):
                written += os.write(self._descriptor, content[written:])
            self.size += written
            if to_disk:
                os.fsync(self._descriptor)
        except OSError as error:
            if written < len(content):
                self._truncate(records, written)
            raise OSError(error.errno, error.strerror, str(self._path)) from error

    def _truncate(self, records: list[bytes], written: int) -> None:
        """Remove the part of a record at the end of the file."""
        for record in records:
            written -= len(record)
            if written < 0:
                break
            self.size += len(record)
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, self.size)

    def close(self) -> None:
        """Close the file without a flush."""
        os.close(self._descriptor)


def _record(data: bytes) -> bytes:
    """Return a TFRecord: length, its checksum, data, their checksum.

    References
    ----------
    TensorFlow, ``tensorflow/core/lib/io/record_writer.h``.
    """
    length = struct.pack("<Q", len(data))
    return b"".join((length, _masked_crc(length), data, _masked_crc(data)))


def _masked_crc(data: bytes) -> bytes:
    """Return the CRC-32C, masked as ``tensorflow/core/lib/hash/crc32c.h`` has it."""
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def truncate_after(log_dir: str | os.PathLike[str], series: str, positions: Positions) -> list[str]:
    """Remove the events that a training wrote after its state was saved.

    Files of the series are truncated to their saved length; those that did not
    exist then are deleted. Files of other trainings are left alone.

    Returns
    -------
    list of str
        Files that are gone or shorter than saved: their events are lost.
    """
    lost = []
    for run in positions:
        if run not in RUNS:
            raise ValueError(f"positions must be those of train, validation and '.', got {run!r}")
    for run in RUNS:
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
