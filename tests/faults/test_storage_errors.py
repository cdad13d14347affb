"""A save that fails says which file and why, and leaves the old state alone."""

import errno
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from onstage.state import storage

OLD = {"epoch": 1, "w": np.zeros(100)}
NEW = {"epoch": 2, "w": np.ones(100_000)}


@pytest.fixture
def path(tmp_path):
    storage.save(tmp_path / "state", OLD)
    return tmp_path / "state"


def _assert_untouched(path):
    assert storage.load(path)["epoch"] == 1
    assert os.listdir(path.parent) == ["state"]
    assert (NEW["w"] == 1).all()


# Real faults of a real file system, in a process of its own.

_SAVE_ON_A_SICK_DISK = """
import json, os, resource, subprocess, sys
import numpy as np
from onstage.state import storage

how, directory = sys.argv[1:]
path = os.path.join(directory, "state")
storage.save(path, {"epoch": 1, "w": np.zeros(100)})
if how == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))
elif how == "read-only":
    subprocess.run(["mount", "-o", "remount,ro", directory], check=True)
descriptors = len(os.listdir("/proc/self/fd"))
try:
    storage.save(path, {"epoch": 2, "w": np.ones(100_000)})
    error = None
except OSError as caught:
    error = {"errno": caught.errno, "text": str(caught), "file": caught.filename}
print(json.dumps({
    "error": error,
    "epoch": storage.load(path)["epoch"],
    "files": os.listdir(directory),
    "leaked": len(os.listdir("/proc/self/fd")) - descriptors,
}))
"""


def _save_on_a_sick_disk(how, directory, prefix=()):
    done = subprocess.run(
        [*prefix, sys.executable, "-c", _SAVE_ON_A_SICK_DISK, how, str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _expected(path, number):
    why = f"{os.strerror(number)}; the file was not written, an older one is untouched"
    text = f"[Errno {number}] {why}: '{path}'"
    return {
        "error": {"errno": number, "text": text, "file": str(path)},
        "epoch": 1,
        "files": ["state"],
        "leaked": 0,
    }


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors by /proc")
def test_a_file_that_may_not_grow_is_reported_and_the_old_one_stays(tmp_path):
    result = _save_on_a_sick_disk("limit", tmp_path)

    assert result == _expected(tmp_path / "state", errno.EFBIG)


def _can_mount():
    try:
        tried = subprocess.run(
            ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "x", "/mnt"], check=False
        )
    except OSError:
        return False
    return tried.returncode == 0


@pytest.mark.skipif(not _can_mount(), reason="may not mount a small disk")
@pytest.mark.parametrize(("how", "number"), [("full", errno.ENOSPC), ("read-only", errno.EROFS)])
def test_a_disk_that_is_full_or_read_only_is_reported_and_the_old_file_stays(tmp_path, how, number):
    script = 'mount -t tmpfs -o size=128k tmpfs "$0" && exec "$@"'
    prefix = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, str(tmp_path)]

    result = _save_on_a_sick_disk(how, tmp_path, prefix)

    assert result == _expected(tmp_path / "state", number)


# Faults that no healthy machine shows: the system's call is made to fail.


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "open"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EACCES, errno.EDQUOT])
def test_any_call_to_the_system_that_fails_is_reported_with_the_file(path, monkeypatch, call, number):
    def failing(*args):
        raise OSError(number, os.strerror(number), "/some/temporary")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(OSError, match="the file was not written, an older one is untouched") as caught:
            storage.save(path, NEW)

    assert caught.value.errno == number
    assert caught.value.filename == str(path)
    assert str(caught.value).startswith(f"[Errno {number}] {os.strerror(number)}; ")
    assert isinstance(caught.value, PermissionError) == (number == errno.EACCES)
    _assert_untouched(path)


def test_a_disk_that_takes_little_at_a_time_gets_it_all(path, monkeypatch):
    plain = os.write

    monkeypatch.setattr(os, "write", lambda descriptor, content: plain(descriptor, content[:7_777]))
    storage.save(path, NEW)

    np.testing.assert_array_equal(storage.load(path)["w"], NEW["w"])


def test_a_directory_that_can_t_be_flushed_is_an_error_only_where_it_should_be_able_to(path, monkeypatch):
    plain = os.fsync
    number = errno.EINVAL

    def failing(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(number, os.strerror(number))
        plain(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    storage.save(path, {"epoch": 3})
    number = errno.EIO
    with pytest.raises(
        OSError, match="error; the file was written, but a power cut may bring the older"
    ) as caught:
        storage.save(path, {"epoch": 4})

    assert (caught.value.errno, caught.value.filename) == (errno.EIO, str(path))
    assert storage.load(path)["epoch"] == 4


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_directory_without_permission_is_reported(path):
    path.parent.chmod(0o555)
    try:
        with pytest.raises(PermissionError, match="Permission denied; the file was not written"):
            storage.save(path, NEW)
    finally:
        path.parent.chmod(0o755)

    _assert_untouched(path)


def test_a_directory_that_was_never_there_is_reported(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"No such file or directory; the file was not written.*gone/state"
    ):
        storage.save(tmp_path / "gone" / "state", NEW)

    assert os.listdir(tmp_path) == []


def test_a_directory_that_vanishes_while_saving_is_reported(path, monkeypatch):
    plain = os.fsync

    def vanishing(descriptor):
        plain(descriptor)
        shutil.rmtree(path.parent)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", vanishing)
        with pytest.raises(FileNotFoundError, match="the file was not written"):
            storage.save(path, NEW)

    path.parent.mkdir()
    storage.save(path, OLD)
    _assert_untouched(path)


def test_a_target_that_is_a_directory_is_reported(tmp_path):
    (tmp_path / "state").mkdir()

    with pytest.raises(IsADirectoryError, match="Is a directory; the file was not written"):
        storage.save(tmp_path / "state", NEW)

    assert os.listdir(tmp_path) == ["state"]


def test_an_unreadable_file_is_reported_and_the_one_before_is_used(path, monkeypatch):
    newest = path.with_name("newest")
    storage.save(newest, NEW)
    plain = os.stat

    def failing(name, **options):
        if str(name) == str(newest):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(newest))
        return plain(name, **options)

    monkeypatch.setattr(os, "stat", failing)

    with pytest.warns(UserWarning, match=r"Input/output error.*newest'; '.*state' is used instead"):
        used, state = storage.load_newest([path, newest])

    assert (used, state["epoch"]) == (path, 1)
