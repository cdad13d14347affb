"""Atomic writes: a file is complete or not there."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable
from functools import cache
from os import PathLike
from typing import TypeAlias

from onstage.state import _system
from onstage.state._system import flush as flush_to_disk

__all__ = ["StrPath", "flush_to_disk", "write_atomic"]

StrPath: TypeAlias = str | PathLike[str]

_TEMPORARY = re.compile(r"\.onstage-(?P<host>[A-Za-z0-9._]*)-\d+-[0-9a-f]{8}\.tmp")
_A_DAY = 86_400.0


@cache
def _host() -> str:
    import socket  # imported late: most programs write no file

    return re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())[:64]


def write_atomic(
    path: StrPath,
    chunks: Iterable[bytes | memoryview],
    *,
    previous: StrPath | None = None,
    last: tuple[int, Callable[[], bytes]] | None = None,
) -> None:
    """Write a file so that a reader finds the old one or the new one.

    The bytes go to a temporary file beside the target, which is flushed to disk
    and renamed over it; then the directory is flushed. A process that is killed
    leaves the old file or the new one, and at most a temporary file, which the
    next write in that directory removes: a writer holds a lock on its temporary
    file, which ends with it. Files of other machines are removed after a day.

    Parameters
    ----------
    path
        File in an existing directory. A symbolic link is replaced.
    chunks
        Content in pieces of any length.
    previous
        File in the same directory that becomes the one that is replaced, once
        the new one is in place; by a hard link, or a copy on a file system
        without them.
    last
        Position of bytes to replace after all chunks were written, and the
        function that returns them.

    Raises
    ------
    OSError
        The file cannot be written (no space, no permission, …). The class fits
        the cause, the message names the file. The old file is untouched and the
        temporary one removed; only if a step after the rename fails, the new
        file is in place, and the message says so.
    ValueError
        On Windows, the name is that of a device, such as ``NUL``.
    """
    target = os.path.abspath(os.fspath(path))
    _system.check_name(target)
    directory = os.path.dirname(target)
    temporary, descriptor, kept = "", -1, None
    try:
        _sweep(directory)
        temporary, descriptor = _create(directory)
        _write_synced(descriptor, chunks, last)
        if _system.WINDOWS:  # which renames no open file
            descriptor = _close(descriptor)
        if previous is not None and os.path.exists(target):
            kept = _temporary_name(directory)
            _duplicate(target, kept)
        _system.replace(temporary, target)
    except BaseException as error:
        descriptor = _close(descriptor) if _system.WINDOWS else descriptor
        for path in (temporary, kept or ""):
            with contextlib.suppress(OSError):
                os.unlink(path)
        if isinstance(error, OSError):
            raise _named(error, "the file was not written, an older one is untouched", target) from error
        raise
    finally:
        # After the rename: until then, the lock keeps the file from being swept.
        _close(descriptor)
    if kept is not None and previous is not None:
        _put_aside(kept, os.fspath(previous), target)
    _sync_directory(directory, target)


def _named(error: OSError, outcome: str, target: str) -> OSError:
    cause = error.strerror or str(error)
    return OSError(error.errno or errno.EIO, f"{cause}; {outcome}", target)


def _temporary_name(directory: str) -> str:
    return os.path.join(directory, f".onstage-{_host()}-{os.getpid()}-{os.urandom(4).hex()}.tmp")


def _create(directory: str) -> tuple[str, int]:
    """Create a temporary file and lock it."""
    while True:
        path = _temporary_name(directory)
        # Exclusive: a link planted under this name is not followed.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags, 0o666)
        if _system.try_lock(descriptor) is not False and os.path.exists(path):
            return path, descriptor
        # Another process swept it before it was locked.
        os.close(descriptor)


def _close(descriptor: int) -> int:
    if descriptor >= 0:
        os.close(descriptor)
    return -1


def _write_synced(
    descriptor: int, chunks: Iterable[bytes | memoryview], last: tuple[int, Callable[[], bytes]] | None
) -> None:
    for chunk in chunks:
        _write(descriptor, chunk)
    if last is not None:
        position, content = last
        os.lseek(descriptor, position, os.SEEK_SET)
        _write(descriptor, content())
    _system.flush(descriptor)


def _write(descriptor: int, chunk: bytes | memoryview) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _duplicate(source: str, target: str) -> None:
    """Make a second name of a file."""
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
        with open(target, "rb+") as file:
            _system.flush(file.fileno())


def _put_aside(kept: str, previous: str, target: str) -> None:
    try:
        _system.replace(kept, previous)
    except FileNotFoundError:
        pass  # Swept by another writer: the earlier `previous` stays, which is as good.
    except OSError as error:
        raise _named(error, "the file was written, the one before it was not kept", target) from error


def _sync_directory(directory: str, target: str) -> None:
    if _system.WINDOWS:
        return  # Windows cannot open a directory; NTFS journals the rename.
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        _system.flush(descriptor)
    except OSError as error:
        # Some network file systems do not support fsync of a directory.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            outcome = "the file was written, but a power cut may bring the older one back"
            raise _named(error, outcome, target) from error
    finally:
        os.close(descriptor)


def _sweep(directory: str) -> None:
    """Remove temporary files whose writers have ended."""
    with os.scandir(directory) as entries:
        found = [(match, entry) for entry in entries if (match := _TEMPORARY.fullmatch(entry.name))]
    for match, entry in found:
        with contextlib.suppress(OSError):
            if match["host"] == _host() and not _system.WINDOWS:
                _remove_unlocked(entry)
            else:
                _remove_old(entry)


def _remove_unlocked(entry: os.DirEntry[str]) -> None:
    """Remove a file unless its writer, in this container or another one, holds the lock."""
    # Neither follows a planted link nor waits for the writer of a planted pipe.
    descriptor = os.open(entry.path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        locked = _system.try_lock(descriptor)
        if locked:
            os.unlink(entry.path)
        elif locked is None:
            _remove_old(entry)
    finally:
        os.close(descriptor)


def _remove_old(entry: os.DirEntry[str]) -> None:
    # Its process may live on another machine; no write takes a day.
    if time.time() - entry.stat(follow_symlinks=False).st_mtime > _A_DAY:
        os.unlink(entry.path)
