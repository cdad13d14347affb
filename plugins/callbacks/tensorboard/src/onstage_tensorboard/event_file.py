"""EventFile: one file of events; and what is to be taken off one after a kill."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import time
from pathlib import Path
from typing import TypeAlias

from tensorboardX.proto.event_pb2 import Event  # type: ignore[import-untyped]  # it has no types

from onstage_tensorboard.checksum import masked_crc32c

Positions: TypeAlias = dict[str, dict[str, int]]
"""Of each run (``train``): its files, and how many bytes of them are written."""

RUNS = ("train", "validation", ".")
"""``.`` is the log directory itself."""

_PENDING = 1 << 20
"""Bytes that are held back at most while events keep coming."""
_HOST = re.sub(r"[^A-Za-z0-9-]", "_", socket.gethostname())[:64]


class EventFile:
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
        """Put an event behind the others; it is in the file after `flush`."""
        data = event.SerializeToString()
        length = struct.pack("<Q", len(data))
        self.extend(
            b"".join(
                (
                    length,
                    struct.pack("<I", masked_crc32c(length)),
                    data,
                    struct.pack("<I", masked_crc32c(data)),
                )
            )
        )

    def extend(self, records: bytes) -> None:
        """Put events behind the others that are records already."""
        self._pending += records
        if len(self._pending) > _PENDING:
            self.flush(False)

    def flush(self, to_disk: bool) -> None:
        """Write what is pending; `to_disk` waits until it is safe there.

        Raises
        ------
        OSError
            Names the file, which then ends with the last record that found room.
        """
        records = bytes(self._pending)
        self._pending.clear()
        written = 0
        try:
            while written < len(records):
                written += os.write(self._descriptor, memoryview(records)[written:])
            self.size += written
            if to_disk:
                os.fsync(self._descriptor)
        except OSError as error:
            if written < len(records):
                self.size += _whole(records, written)
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, self.size)
            raise OSError(error.errno, error.strerror, str(self._path)) from error

    def close(self) -> None:
        """Close the file as it is."""
        os.close(self._descriptor)


def _whole(records: bytes, length: int) -> int:
    """Give how many of the first bytes are whole records."""
    end = at = 0
    while at <= length:
        end = at
        at += 16 + int.from_bytes(records[at : at + 8], "little")
    return end


def truncate_after(log_dir: str | os.PathLike[str], series: str, positions: Positions) -> list[str]:
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
