"""What only macOS and Windows do, with stand-ins for their calls: not run on these systems here."""

import errno
import os
import types

import pytest

from onstage.state import _system
from onstage.state.atomic import write_atomic
from onstage.state.lock import FileLock


def _full_flush(monkeypatch, error=None):
    """Stand in for macOS's fcntl; return the list of its calls."""
    calls = []

    def fcntl(descriptor, command):
        calls.append(command)
        if error is not None:
            raise OSError(error, os.strerror(error))

    stand_in = types.SimpleNamespace(
        F_FULLFSYNC=51, fcntl=fcntl, flock=lambda *args: None, LOCK_EX=2, LOCK_NB=4
    )
    monkeypatch.setattr(_system, "fcntl", stand_in)
    return calls


def test_macos_flushes_file_and_directory_to_the_medium(tmp_path, monkeypatch):
    calls = _full_flush(monkeypatch)
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: pytest.fail("fsync leaves the data in the disk's cache")
    )

    write_atomic(tmp_path / "f", [b"x"])

    assert calls == [51, 51]
    assert (tmp_path / "f").read_bytes() == b"x"


def test_a_file_system_without_a_full_flush_gets_an_fsync(tmp_path, monkeypatch):
    flushed = []
    _full_flush(monkeypatch, errno.ENOTSUP)
    monkeypatch.setattr(os, "fsync", flushed.append)

    write_atomic(tmp_path / "f", [b"x"])

    assert len(flushed) == 2


def test_a_full_flush_that_fails_is_an_error_although_fsync_would_succeed(tmp_path, monkeypatch):
    _full_flush(monkeypatch, errno.EIO)

    with pytest.raises(OSError, match="error; the file was not written"):
        write_atomic(tmp_path / "f", [b"x"])


@pytest.fixture
def windows(monkeypatch):
    """Stand in for Windows: locks of bytes, no fcntl; return the set of locked files."""
    locked = set()

    def locking(descriptor, mode, count):
        held = os.fstat(descriptor).st_ino
        if held in locked:
            raise PermissionError(errno.EACCES, "Permission denied")
        locked.add(held)

    monkeypatch.setattr(_system, "WINDOWS", True)
    monkeypatch.setattr(_system, "_WAITS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(_system, "fcntl", None)
    monkeypatch.setattr(_system, "msvcrt", types.SimpleNamespace(locking=locking, LK_NBLCK=2))
    return locked


@pytest.mark.parametrize("failures", [1, 3, 4])
def test_on_windows_a_rename_is_tried_again_while_a_reader_has_the_file_open(
    tmp_path, monkeypatch, windows, failures
):
    plain, left = os.replace, [PermissionError(errno.EACCES, "The file is in use")] * failures

    def held(source, target):
        if left:
            raise left.pop()
        plain(source, target)

    (tmp_path / "f").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", held)

    if failures > len(_system._WAITS):
        with pytest.raises(PermissionError, match="The file is in use; the file was not written"):
            write_atomic(tmp_path / "f", [b"new"])
    else:
        write_atomic(tmp_path / "f", [b"new"])

    assert (tmp_path / "f").read_bytes() == (b"old" if failures > len(_system._WAITS) else b"new")
    assert os.listdir(tmp_path) == ["f"]


def test_on_windows_a_file_is_closed_before_it_is_renamed(tmp_path, monkeypatch, windows):
    plain, closed = os.replace, []

    def looks(source, target):
        open_files = {os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")}
        closed.append(os.path.realpath(source) not in open_files)
        plain(source, target)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    monkeypatch.setattr(os, "replace", looks)

    write_atomic(tmp_path / "f", [b"new"])

    assert closed == [True]


@pytest.mark.parametrize(
    "name", ["NUL", "con", "CON.safetensors", "aux .x", "COM1", "lpt9.csv", "COM².x", "nul:stream"]
)
def test_on_windows_the_name_of_a_device_is_refused(tmp_path, windows, name):
    with pytest.raises(ValueError, match="path must not be a name that Windows reserves for a device, got"):
        write_atomic(tmp_path / name, [b"x"])

    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["CONSOLE", "con1", "com", "COM10", "xNUL", "a.con"])
def test_on_windows_a_name_that_resembles_a_device_is_written(tmp_path, windows, name):
    write_atomic(tmp_path / name, [b"x"])

    assert os.listdir(tmp_path) == [name]


@pytest.mark.skipif(os.name != "posix", reason="Windows refuses them")
def test_elsewhere_the_names_of_devices_are_files(tmp_path):
    write_atomic(tmp_path / "NUL", [b"x"])

    assert (tmp_path / "NUL").read_bytes() == b"x"


def test_on_windows_a_lock_is_refused_to_a_second_owner_and_removed_by_the_first(tmp_path, windows):
    first, second = (FileLock(tmp_path / ".lock", "log") for _ in range(2))
    first.acquire()

    with pytest.raises(RuntimeError, match=f"used by one training at a time.*process {os.getpid()} "):
        second.acquire()

    first.release()
    assert os.listdir(tmp_path) == []
