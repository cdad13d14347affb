"""Find the pyproject.toml that settings are read from, and decide whether to trust it.

Settings name callbacks, and callbacks write files: a file that another user could
write must not decide what a training does.
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache

Stamp = tuple[str, int, int, int, int]
"""Path, modification time, size, owner and mode: changes if the file may have."""


def find_settings_file() -> Stamp | None:
    """Return the pyproject.toml of the project around the current folder.

    The project's root is the first folder upward with a pyproject.toml or a
    ``.git``. The search never leaves the user's home.
    """
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        return None
    while True:
        path = os.path.join(folder, "pyproject.toml")
        try:
            status = os.stat(path)
            return path, status.st_mtime_ns, status.st_size, status.st_uid, status.st_mode
        except OSError:
            pass
        parent = os.path.dirname(folder)
        if parent == folder or folder == _home() or os.path.lexists(os.path.join(folder, ".git")):
            return None
        folder = parent


def _home() -> str:
    return _resolve(os.path.expanduser("~"))


@lru_cache(8)
def _resolve(path: str) -> str:
    return os.path.realpath(path)


def read_settings_file(path: str) -> tuple[str, str]:
    """Read a file if it is trusted.

    Trusted is a regular file that belongs to the current user or to root, and
    that not everybody may write. Systems without these concepts (Windows) are
    left to the search, which stays inside the project.

    Returns
    -------
    tuple
        The text, and the reason why it is not trusted; one of them is empty.

    Raises
    ------
    OSError, UnicodeDecodeError
        If the file can't be read.
    """
    if reason := _distrust(os.lstat(path), is_link=os.path.islink(path)):
        return "", reason
    # Not blocking: a pipe in the file's place would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, encoding="utf-8") as file:
        reason = _distrust(os.fstat(descriptor))
        return ("", reason) if reason else (file.read(), "")


def _distrust(status: os.stat_result, is_link: bool = False) -> str:
    """Return why a file with this status is not trusted, or an empty string."""
    if not is_link and not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if not hasattr(os, "geteuid"):
        return ""
    if status.st_uid not in (0, os.geteuid()):
        return f"it belongs to user {status.st_uid}, not to you"
    if not is_link and status.st_mode & stat.S_IWOTH:
        return "every user may write it"
    return ""
