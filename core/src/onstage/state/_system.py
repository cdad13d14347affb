"""Calls to the system that differ between Linux, macOS and Windows."""

from __future__ import annotations

import errno
import importlib
import os
import re
import time
from typing import Any


def _optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


fcntl, msvcrt = _optional("fcntl"), _optional("msvcrt")
"""The modules of Unix and of Windows; the other one is None."""

WINDOWS = os.name == "nt"

_WAITS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
_BEYOND_CONTENT = 1 << 30
_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³]) *([.:].*)?", re.IGNORECASE)


def flush(descriptor: int) -> None:
    """Flush a file to its medium.

    On macOS fsync leaves the data in the cache of the disk, which a power cut
    empties; F_FULLFSYNC doesn't. Some network file systems lack it.
    """
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        try:
            fcntl.fcntl(descriptor, full)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY):
                raise
        else:
            return
    os.fsync(descriptor)


def replace(source: str, target: str) -> None:
    """Rename a file over another one.

    On Windows this fails while another program, such as a virus scanner, has
    one of them open: try again for a second and a half.
    """
    for seconds in _WAITS if WINDOWS else ():
        try:
            os.replace(source, target)
        except PermissionError:
            time.sleep(seconds)
        else:
            return
    os.replace(source, target)


def try_lock(descriptor: int) -> bool | None:
    """Lock a file until its descriptor is closed, at the latest by the end of the process.

    Return False if another descriptor holds the lock, of this process or
    another one, None if the file system has no locks.
    """
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            # Windows locks bytes, which then cannot be read; bytes beyond the end can be locked too.
            os.lseek(descriptor, _BEYOND_CONTENT, os.SEEK_SET)
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            finally:
                os.lseek(descriptor, 0, os.SEEK_SET)
    except OSError as error:
        held = error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
        return False if held else None
    return True


def check_name(path: str) -> None:
    """Raise ValueError if Windows would open a device, such as NUL, in place of the file."""
    if WINDOWS and _RESERVED.fullmatch(re.split(r"[/\\]", path)[-1]):
        raise ValueError(f"path must not be a name that Windows reserves for a device, got {path!r}")
