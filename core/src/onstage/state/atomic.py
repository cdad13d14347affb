"""Files that are whole or not there: atomic writes, pointers, the newest k."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
import warnings
from collections.abc import Iterable, Sequence
from functools import cache
from os import PathLike
from pathlib import Path
from typing import TypeAlias

from onstage.errors import OnstageWarning, StateError

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

    The bytes go to a temporary file beside the target, which is flushed to the
    disk and renamed over it; then the directory is flushed. A process killed
    at any point leaves the old file or the new one, and at most a temporary
    file, which the next write in that directory removes.

    Parameters
    ----------
    path
        The file. Its directory must exist. A symbolic link is replaced.
    chunks
        The content, piece by piece; memoryviews of bytes, of any length.

    Raises
    ------
    OSError
        Names the file and the cause (no space, no permission, …), as the
        subclass that fits the cause. The old file is untouched then, and the
        temporary one removed. Only where the very last step fails, the flush
        of the directory, is the new file in place; the message says so.
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
                f"{cause}; the file was not written, nor an older one touched",
                target,
            ) from error
        raise
    finally:
        _in_flight.discard(name)
    _sync_directory(directory, target)


def _write_synced(path: str, chunks: Iterable[bytes | memoryview]) -> None:
    binary = getattr(os, "O_BINARY", 0)
    # Exclusive: a link that somebody planted under this name is not followed.
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
        return  # A directory can't be opened there; the rename is journalled.
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems know no fsync of a directory.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            cause = f"{error.strerror}; the file was written, but a power cut may bring the older one back"
            raise OSError(error.errno, cause, target) from error
    finally:
        os.close(descriptor)


def _sweep(directory: str) -> None:
    """Remove the temporary files of writers that are gone."""
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
        # Our own number on a file that we aren't writing: it was another's before.
        return entry.name not in _in_flight if pid == os.getpid() else not _is_alive(pid)
    # Another machine's process can't be asked; nobody takes a day for one file.
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


def write_pointer(path: StrPath, name: str) -> None:
    """Write a pointer file (``latest``, ``best``), atomically.

    Parameters
    ----------
    path
        The pointer file.
    name
        The name, without a directory, of a file that stands beside it.

    Raises
    ------
    ValueError
        `name` is not the bare name of a file.
    """
    if wrong := _wrong_name(name):
        raise ValueError(f"name must be a file name without a directory, got {name!r} ({wrong})")
    write_atomic(path, [f"{name}\n".encode()])


def read_pointer(path: StrPath) -> Path:
    """Give the file that a pointer file names, in the pointer's own directory.

    Whether that file exists is not looked at.

    Raises
    ------
    StateError
        The pointer file holds anything but one file name.
    """
    path = Path(path)
    with path.open("rb") as file:
        content = file.read(1025)
    try:
        name = content.decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise StateError(
            f"pointer file '{path}' must hold a file name, got bytes that are not text"
        ) from None
    if wrong := _wrong_name(name):
        raise StateError(
            f"pointer file '{path}' must hold the name of a file beside it, got {name[:80]!r} ({wrong})"
        )
    return path.parent / name


def _wrong_name(name: str) -> str:
    if not name or name in {".", ".."}:
        return "it names no file"
    if "/" in name or "\\" in name or os.path.basename(name) != name or (os.name == "nt" and ":" in name):
        return "it leads to another directory"
    if not name.isprintable():
        return "it has characters that don't print"
    if len(os.fsencode(name)) > 255:
        return "it is too long"
    return ""


def keep_newest(paths: Sequence[StrPath], keep: int) -> list[Path]:
    """Delete all but the last files of a list.

    Parameters
    ----------
    paths
        Oldest first. A file that is gone already is no error.
    keep
        How many to leave, at least 1.

    Returns
    -------
    list of Path
        What is left, oldest first: the kept ones, and before them any that
        could not be deleted (warned of as `OnstageWarning`).
    """
    if keep < 1:
        raise ValueError(f"keep must be at least 1, got {keep}")
    left: list[Path] = []
    for path in map(Path, paths[:-keep]):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            warnings.warn(
                f"could not delete the old file '{path}': {error.strerror}", OnstageWarning, stacklevel=2
            )
            left.append(path)
    return left + [Path(path) for path in paths[-keep:]]
