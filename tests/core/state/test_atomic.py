"""Atomic writes: the order of the steps, and the removal of leftovers."""

import os
import subprocess
import sys
import threading
import time

import pytest

from onstage.state import atomic
from onstage.state.atomic import write_atomic


def test_the_pieces_make_the_file_and_nothing_else_is_left(tmp_path):
    write_atomic(tmp_path / "f", [b"one ", memoryview(b"two"), b""])

    assert (tmp_path / "f").read_bytes() == b"one two"
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.skipif(sys.platform != "linux", reason="tells descriptors by /proc")
def test_the_file_is_flushed_before_it_is_renamed_and_the_directory_after(tmp_path, monkeypatch):
    done = []

    def record(name):
        plain = getattr(os, name)

        def recorded(*args):
            what = os.readlink(f"/proc/self/fd/{args[0]}") if isinstance(args[0], int) else args[1]
            done.append((name, "directory" if what == str(tmp_path) else os.path.basename(what)))
            return plain(*args)

        monkeypatch.setattr(os, name, recorded)

    for name in ("write", "fsync", "replace"):
        record(name)

    write_atomic(tmp_path / "f", [b"x"])

    temporary = done[0][1]
    assert temporary.startswith(".onstage-")
    assert done == [("write", temporary), ("fsync", temporary), ("replace", "f"), ("fsync", "directory")]


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()

    write_atomic(tmp_path / "f", [b"x"])

    assert (tmp_path / "f").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_relative_path_is_written_where_it_points(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    write_atomic("f", [b"x"])

    assert (tmp_path / "f").read_bytes() == b"x"


def test_an_interrupt_leaves_the_old_file_and_no_temporary_one(tmp_path):
    (tmp_path / "f").write_bytes(b"old")

    def interrupted():
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "f", interrupted())

    assert (tmp_path / "f").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


@pytest.fixture
def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def _temporary(directory, pid, host=None, token="0123abcd"):
    path = directory / f".onstage-{atomic._host() if host is None else host}-{pid}-{token}.tmp"
    path.write_bytes(b"half")
    return path


def test_temporary_files_of_dead_processes_are_deleted_and_those_of_living_ones_stay(tmp_path, dead_pid):
    dead, reused = _temporary(tmp_path, dead_pid), _temporary(tmp_path, os.getpid())
    living, foreign = (
        _temporary(tmp_path, os.getppid()),
        _temporary(tmp_path, dead_pid, host="elsewhere.example"),
    )
    unrelated = tmp_path / ".onstage-notes.tmp"
    unrelated.write_bytes(b"mine")

    write_atomic(tmp_path / "f", [b"x"])

    assert not dead.exists()
    assert not reused.exists(), "our own pid, but not our file: an earlier process had that pid"
    assert living.exists()
    assert foreign.exists()
    assert unrelated.exists()


def test_temporary_files_of_another_machine_are_deleted_after_a_day(tmp_path):
    old, young = _temporary(tmp_path, 1, host="there"), _temporary(tmp_path, 2, host="there")
    os.utime(old, (time.time() - 90_000,) * 2)

    write_atomic(tmp_path / "f", [b"x"])

    assert not old.exists()
    assert young.exists()


def test_threads_that_write_at_once_do_not_delete_each_others_files(tmp_path):
    errors = []

    def write_often(name):
        try:
            for i in range(50):
                write_atomic(tmp_path / name, [name.encode(), b"%d" % i])
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=write_often, args=(name,)) for name in "aabb"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    assert (tmp_path / "a").read_bytes() == b"a49"
