"""Atomic writes: their order, their leftovers, pointer files, the newest k."""

import os
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.errors import OnstageWarning, StateError
from onstage.state import atomic
from onstage.state.atomic import keep_newest, read_pointer, write_atomic, write_pointer


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


def test_temporaries_of_dead_processes_are_swept_and_those_of_living_ones_stay(tmp_path, dead_pid):
    dead, reused = _temporary(tmp_path, dead_pid), _temporary(tmp_path, os.getpid())
    living, foreign = (
        _temporary(tmp_path, os.getppid()),
        _temporary(tmp_path, dead_pid, host="elsewhere.example"),
    )
    unrelated = tmp_path / ".onstage-notes.tmp"
    unrelated.write_bytes(b"mine")

    write_atomic(tmp_path / "f", [b"x"])

    assert not dead.exists()
    assert not reused.exists(), "our own number, but none of our files: it was another process's"
    assert living.exists()
    assert foreign.exists()
    assert unrelated.exists()


def test_temporaries_of_another_machine_are_swept_after_a_day(tmp_path):
    old, young = _temporary(tmp_path, 1, host="there"), _temporary(tmp_path, 2, host="there")
    os.utime(old, (time.time() - 90_000,) * 2)

    write_atomic(tmp_path / "f", [b"x"])

    assert not old.exists()
    assert young.exists()


def test_threads_that_write_at_once_don_t_sweep_each_other_away(tmp_path):
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


# Pointer files.


@given(
    name=st.text(
        st.characters(exclude_categories=["C", "Z"], exclude_characters="/\\:"), min_size=1, max_size=60
    ).filter(lambda name: name not in {".", ".."})
)
def test_a_pointer_leads_to_the_file_beside_it(tmp_path_factory, name):
    directory = tmp_path_factory.getbasetemp()

    write_pointer(directory / "latest", name)

    assert read_pointer(directory / "latest") == directory / name


BAD_NAMES = ["", ".", "..", "../x", "a/b", "/etc/passwd", "..\\x", "a\nb", "a\0b", "x" * 256, "\x1b[2J"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_pointer_can_t_be_made_to_lead_elsewhere(tmp_path, name):
    with pytest.raises(ValueError, match="name must be a file name without a directory, got "):
        write_pointer(tmp_path / "latest", name)

    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", [*BAD_NAMES, "x\n\n", "x" * 10_000, "\n"])
def test_a_pointer_that_leads_elsewhere_is_refused(tmp_path, name):
    (tmp_path / "latest").write_text(name)

    with pytest.raises(
        StateError, match=r"pointer file '.*latest' must hold the name of a file beside it, got"
    ):
        read_pointer(tmp_path / "latest")


def test_a_pointer_of_other_bytes_is_refused(tmp_path):
    (tmp_path / "latest").write_bytes(b"\xff\xfe")

    with pytest.raises(StateError, match="must hold a file name, got bytes that are not text"):
        read_pointer(tmp_path / "latest")


# The newest k.


def test_the_newest_files_are_kept(tmp_path):
    paths = [tmp_path / str(i) for i in range(5)]
    for path in paths[1:]:
        path.touch()

    assert keep_newest(paths, 2) == paths[3:]
    assert sorted(os.listdir(tmp_path)) == ["3", "4"]
    assert keep_newest(paths[3:], 9) == paths[3:]


def test_a_file_that_can_t_be_deleted_is_warned_of_and_stays_on_the_list(tmp_path):
    paths = [tmp_path / str(i) for i in range(3)]
    paths[0].mkdir()
    paths[1].touch()
    paths[2].touch()

    with pytest.warns(OnstageWarning, match="could not delete the old file '.*0': Is a directory"):
        left = keep_newest(paths, 1)

    assert left == [paths[0], paths[2]]


def test_at_least_one_file_must_be_kept():
    with pytest.raises(ValueError, match="keep must be at least 1, got 0"):
        keep_newest([], 0)
