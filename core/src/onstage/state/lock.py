"""A lock on a file or directory that only one training may use at a time."""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from typing import Any

from onstage.state import _system
from onstage.state.atomic import StrPath


class FileLock:
    """Lock of a file, or of a directory by a file in it.

    The lock file holds the name of its process, and is removed by `release`. A
    process that dies loses its lock at once, also if it is killed: no lock is
    left behind. Forked children don't hold it.

    On network file systems the lock holds between machines if the server and
    the mount support it (NFS since Linux 2.6.12, without ``nolock`` or
    ``local_lock``); where a file system has no locks, `acquire` always succeeds.

    Parameters
    ----------
    path
        Lock file, in an existing directory; made by `acquire`.
    subject
        What is locked, for the error: ``"backup_dir 'runs/backup'"``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lock = FileLock(f"{folder}/.lock", "folder")
    ...     lock.acquire()
    ...     try:
    ...         FileLock(f"{folder}/.lock", "folder").acquire()
    ...     except RuntimeError as error:
    ...         print(str(error).partition(", got")[0])
    ...     lock.release()
    folder must be used by one training at a time
    """

    def __init__(self, path: StrPath, subject: str) -> None:
        self.path = os.fspath(path)
        self.subject = subject
        self._held_path = ""
        self._descriptor = -1

    def acquire(self) -> None:
        """Take the lock; do nothing if this object holds it.

        Raises
        ------
        RuntimeError
            If another object or process holds it; the message names the process.
        OSError
            If the lock file cannot be made.
        """
        if self._descriptor >= 0:
            return
        path = os.path.abspath(self.path)
        descriptor = self._open(path)
        # A process that releases the lock removes its file, perhaps between our two steps.
        while not _is_at(path, descriptor):
            os.close(descriptor)
            descriptor = self._open(path)
        self._descriptor, self._held_path = descriptor, path
        _held.add(self)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, _this_process().encode())

    def _open(self, path: str) -> int:
        """Open the lock file and lock it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if _system.try_lock(descriptor) is not False:
            return descriptor
        os.lseek(descriptor, 0, os.SEEK_SET)
        owner = os.read(descriptor, 400).decode(errors="replace") or "another process"
        os.close(descriptor)
        raise RuntimeError(
            f"{self.subject} must be used by one training at a time, got a second one while {owner} uses it; "
            "use another path, or end that process"
        )

    def release(self) -> None:
        """Release the lock and remove its file; do nothing if it is not held."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        _held.discard(self)
        with contextlib.suppress(OSError):
            if _system.WINDOWS:  # which removes no open file, so that of a new owner stays
                os.close(descriptor)
                os.unlink(self._held_path)
            # While it is locked: no other process has made it its own.
            elif _is_at(self._held_path, descriptor):
                os.unlink(self._held_path)
        if not _system.WINDOWS:
            os.close(descriptor)

    def __del__(self) -> None:
        self.release()

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle as a lock that is not held."""
        return FileLock, (self.path, self.subject)


_held: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _leave_to_parent() -> None:
    """Close the locks in a forked child, which would otherwise outlive its parent with them."""
    for lock in list(_held):
        os.close(lock._descriptor)
        lock._descriptor = -1
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


def _is_at(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _this_process() -> str:
    import socket  # imported late: few programs need it

    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime())
    return f"process {os.getpid()} on {socket.gethostname()} since {since}"
