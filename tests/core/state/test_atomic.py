"""Atomic writes: the order of the steps, and the file that is replaced."""

import os
import sys
import threading

import pytest

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


def test_the_file_that_is_replaced_becomes_the_previous_one(tmp_path):
    for number in (b"1", b"2", b"3"):
        write_atomic(tmp_path / "f", [number], previous=tmp_path / "p")

    assert (tmp_path / "f").read_bytes() == b"3"
    assert (tmp_path / "p").read_bytes() == b"2"
    assert sorted(os.listdir(tmp_path)) == ["f", "p"]


def test_a_first_write_has_no_previous_file(tmp_path):
    write_atomic(tmp_path / "f", [b"1"], previous=tmp_path / "p")

    assert os.listdir(tmp_path) == ["f"]


def test_without_hard_links_the_replaced_file_is_kept_too(tmp_path, monkeypatch):
    def unsupported(*args):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", unsupported)
    for number in (b"1", b"2", b"3"):
        write_atomic(tmp_path / "f", [number], previous=tmp_path / "p")

    assert (tmp_path / "f").read_bytes() == b"3"
    assert (tmp_path / "p").read_bytes() == b"2"
    assert sorted(os.listdir(tmp_path)) == ["f", "p"]


def test_a_write_that_fails_leaves_both_files(tmp_path, monkeypatch):
    for number in (b"1", b"2"):
        write_atomic(tmp_path / "f", [number], previous=tmp_path / "p")

    def failing(*args):
        raise OSError(28, "No space left on device")

    for call in ("write", "fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            with pytest.raises(OSError, match="the file was not written, an older one is untouched"):
                write_atomic(tmp_path / "f", [b"3"], previous=tmp_path / "p")

        assert (tmp_path / "f").read_bytes() == b"2"
        assert (tmp_path / "p").read_bytes() == b"1"
        assert sorted(os.listdir(tmp_path)) == ["f", "p"]
