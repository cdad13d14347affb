"""Lock a file until it is closed or its process ends, on POSIX and on Windows."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any, BinaryIO

fcntl: Any = None
msvcrt: Any = None
try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

_FAR = 2**31 - 2
"""Position of the byte that is locked on Windows.

There, locked bytes can't be read by others, so that it lies behind all content;
the C library takes no higher position.
"""


def lock_file(file: BinaryIO) -> bool:
    """Lock a file; return False if another process, or another open file, has it."""
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            _lock_far_byte(file.fileno(), msvcrt)
    except OSError:
        return False
    return True


def _lock_far_byte(descriptor: int, calls: ModuleType) -> None:
    before = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, _FAR, os.SEEK_SET)
    try:
        calls.locking(descriptor, calls.LK_NBLCK, 1)
    finally:
        os.lseek(descriptor, before, os.SEEK_SET)
