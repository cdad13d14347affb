"""A lock has one owner, which the error names, and dies with its process."""

import os
import pickle
import signal
import subprocess
import sys

import pytest

from onstage.state.lock import FileLock

_HOLDS = """
import os, sys, time
from onstage.state.lock import FileLock

lock = FileLock(sys.argv[1], "folder")
lock.acquire()
if "fork" in sys.argv:
    forked, runs = os.pipe()
    if os.fork() == 0:
        os.write(runs, b".")
        time.sleep(60)
    os.read(forked, 1)  # Only now has the child given up the lock, as Python does on its first steps.
print(os.getpid(), flush=True)
sys.stdin.readline()
"""


def _holder(path, *flags, prefix=()):
    process = subprocess.Popen(
        [*prefix, sys.executable, "-c", _HOLDS, str(path), *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return process, int(process.stdout.readline())


def _lowest_free_descriptors():
    descriptors = [os.open(os.devnull, os.O_RDONLY) for _ in range(4)]
    for descriptor in descriptors:
        os.close(descriptor)
    return descriptors


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".lock"


def test_a_second_owner_is_refused_with_the_name_of_the_first(path):
    process, pid = _holder(path)

    with pytest.raises(
        RuntimeError,
        match=rf"^folder must be used by one training at a time, got a second one while process {pid} on .* "
        r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d uses it; use another path, or end that process$",
    ):
        FileLock(path, "folder").acquire()

    process.communicate("\n")


def test_a_second_owner_in_the_same_process_is_refused(path):
    first, second = FileLock(path, "folder"), FileLock(path, "folder")
    first.acquire()
    first.acquire()

    with pytest.raises(RuntimeError, match=f"while process {os.getpid()} "):
        second.acquire()

    first.release()
    second.acquire()
    second.release()


def test_a_released_lock_leaves_no_file(path):
    lock = FileLock(path, "folder")
    lock.acquire()
    assert path.exists()

    lock.release()
    lock.release()

    assert not path.exists()


@pytest.mark.skipif(os.name != "posix", reason="kills and forks")
@pytest.mark.parametrize("flags", [(), ("fork",)], ids=["alone", "with a forked child that lives on"])
def test_the_lock_of_a_killed_process_is_taken_over_at_once(path, flags):
    process, pid = _holder(path, *flags)
    os.kill(pid, signal.SIGKILL)
    process.wait()

    lock = FileLock(path, "folder")
    try:
        lock.acquire()
        assert path.read_text().startswith(f"process {os.getpid()} ")
    finally:
        os.killpg(process.pid, signal.SIGKILL) if flags else None
        lock.release()
    process.communicate()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_neither_holds_nor_removes_the_lock(path):
    lock = FileLock(path, "folder")
    lock.acquire()

    pid = os.fork()
    if pid == 0:
        lock.release()
        os._exit(0 if path.exists() else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    with pytest.raises(RuntimeError, match="at a time"):
        FileLock(path, "folder").acquire()
    lock.release()


def test_a_lock_that_is_removed_while_a_second_one_opens_it_has_one_owner(path, monkeypatch):
    first, second, third = (FileLock(path, "folder") for _ in range(3))
    free = _lowest_free_descriptors()
    first.acquire()
    plain = os.open

    def released_after(name, *args):
        descriptor = plain(name, *args)
        monkeypatch.setattr(os, "open", plain)
        first.release()
        return descriptor

    monkeypatch.setattr(os, "open", released_after)
    second.acquire()

    with pytest.raises(RuntimeError, match="at a time"):
        third.acquire()
    second.release()
    assert not path.exists()
    assert _lowest_free_descriptors() == free


def test_copies_hold_no_lock(path):
    lock = FileLock(path, "folder")
    lock.acquire()

    copy = pickle.loads(pickle.dumps(lock))
    copy.release()

    assert path.exists()
    lock.release()


def test_a_lock_that_is_forgotten_is_released(path):
    FileLock(path, "folder").acquire()

    lock = FileLock(path, "folder")
    lock.acquire()
    lock.release()


def test_where_files_have_no_locks_the_lock_is_given(path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def unsupported(*args):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    lock = FileLock(path, "folder")
    lock.acquire()
    lock.release()

    assert not path.exists()
