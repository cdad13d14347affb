"""Atomic writes: a file is complete or not there."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections.abc import Iterable
from functools import cache
from os import PathLike
from typing import TypeAlias

StrPath: TypeAlias = str | PathLike[str]

_TEMPORARY = re.compile(r"\.onstage-(?P<host>[A-Za-z0-9._]*)-(?P<pid>\d+)-[0-9a-f]{8}\.tmp")
_A_DAY = 86_400.0
_in_flight: set[str] = set()


@cache
def _host() -> str:
    import socket  # imported late: most programs write no file

    return re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())[:64]


def write_atomic(path: StrPath, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file so that a reader finds the old one or the new one.

    The bytes go to a temporary file beside the target, which is flushed to disk
    and renamed over it; then the directory is flushed. A process that is killed
    leaves the old file or the new one, and at most a temporary file, which the
    next write in that directory removes.

    Parameters
    ----------
    path
        File in an existing directory. A symbolic link is replaced.
    chunks
        Content in pieces of any length.

    Raises
    ------
    OSError
        The file cannot be written (no space, no permission, …). The class fits
        the cause, the message names the file. The old file is untouched and the
        temporary one removed; only if the last step fails, the flush of the
        directory, the new file is in place, and the message says so.
    """
    target = os.path.abspath(os.fspath(path))
    directory = os.path.dirname(target)
    name = f".onstage-{_host()}-{os.getpid()}-{os.urandom(4).hex()}.tmp"
    temporary = os.path.join(directory, name)
    _in_flight.add(name)
    try:
        _sweep(directory)
        _write_synced(temporary, chunks)
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            cause = error.strerror or str(error)
            raise OSError(
                error.errno or errno.EIO,
                f"{cause}; the file was not written, an older one is untouched",
                target,
            ) from error
        raise
    finally:
        _in_flight.discard(name)
    _sync_directory(directory, target)


def _write_synced(path: str, chunks: Iterable[bytes | memoryview]) -> None:
    binary = getattr(os, "O_BINARY", 0)
    # Exclusive: a link planted under this name is not followed.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | binary, 0o666)
    try:
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_directory(directory: str, target: str) -> None:
    if os.name != "posix":
        return  # Windows cannot open a directory; NTFS journals the rename.
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems do not support fsync of a directory.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            cause = f"{error.strerror}; the file was written, but a power cut may bring the older one back"
            raise OSError(error.errno, cause, target) from error
    finally:
        os.close(descriptor)


def _sweep(directory: str) -> None:
    """Remove temporary files whose writers have ended."""
    with os.scandir(directory) as entries:
        stale = [entry.path for entry in entries if _is_stale(entry)]
    for path in stale:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _is_stale(entry: os.DirEntry[str]) -> bool:
    if not (match := _TEMPORARY.fullmatch(entry.name)):
        return False
    pid = int(match["pid"])
    if match["host"] == _host() and os.name == "posix":
        # Our own pid on a file that we are not writing: an earlier process had that pid.
        return entry.name not in _in_flight if pid == os.getpid() else not _is_alive(pid)
    # The process is on another machine; no write takes a day.
    with contextlib.suppress(OSError):
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > _A_DAY
    return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
