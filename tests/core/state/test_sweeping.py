"""Leftovers of killed writers are removed; files that another process is writing stay."""

import os
import subprocess
import sys
import time

import pytest

from onstage.state import atomic
from onstage.state.atomic import write_atomic

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no locks that a killed writer loses")

_WRITES = """
import sys, time
from onstage.state.atomic import write_atomic

def slowly():
    yield b"half"
    print("half", flush=True)
    sys.stdin.readline()
    yield b" whole"

write_atomic(sys.argv[1], slowly())
"""


def _leftover(directory, pid=1, host=None, token="0123abcd"):
    path = directory / f".onstage-{atomic._host() if host is None else host}-{pid}-{token}.tmp"
    path.write_bytes(b"half")
    return path


def _writer(path, *prefix):
    """Return a process that is in the middle of a write, and ends it on a line."""
    process = subprocess.Popen(
        [*prefix, sys.executable, "-c", _WRITES, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "half\n"
    return process


def test_files_of_killed_writers_are_removed_and_those_of_living_ones_stay(tmp_path):
    killed, living = _writer(tmp_path / "killed"), _writer(tmp_path / "living")
    killed.kill()
    killed.communicate()
    reused = _leftover(tmp_path, living.pid)  # an earlier process had the pid of a living one
    foreign = _leftover(tmp_path, host="elsewhere.example")
    unrelated = tmp_path / ".onstage-notes.tmp"
    unrelated.write_bytes(b"mine")

    write_atomic(tmp_path / "f", [b"x"])

    left = {path.name for path in tmp_path.iterdir()} - {"f", foreign.name, unrelated.name}
    assert not reused.exists()
    assert len(left) == 1, "only the file of the living writer stays"
    assert f"-{living.pid}-" in left.pop()
    living.communicate("\n")
    assert living.returncode == 0
    assert (tmp_path / "living").read_bytes() == b"half whole"


def test_temporary_files_of_another_machine_are_removed_after_a_day(tmp_path):
    old, young = (
        _leftover(tmp_path, host="there"),
        _leftover(tmp_path, host="there", token="4567abcd"),
    )
    os.utime(old, (time.time() - 90_000,) * 2)

    write_atomic(tmp_path / "f", [b"x"])

    assert not old.exists()
    assert young.exists()


def test_planted_links_and_pipes_neither_stop_a_write_nor_lead_elsewhere(tmp_path):
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    link = tmp_path / f".onstage-{atomic._host()}-1-00000001.tmp"
    link.symlink_to(precious)
    os.mkfifo(tmp_path / f".onstage-{atomic._host()}-1-00000002.tmp")

    write_atomic(tmp_path / "f", [b"x"])

    assert precious.read_bytes() == b"mine"
    assert (tmp_path / "f").read_bytes() == b"x"


def test_without_locks_files_of_this_machine_are_removed_after_a_day_too(tmp_path, monkeypatch):
    import fcntl

    def unsupported(*args):
        raise OSError(37, "No locks available")

    old, young = _leftover(tmp_path), _leftover(tmp_path, token="4567abcd")
    os.utime(old, (time.time() - 90_000,) * 2)

    monkeypatch.setattr(fcntl, "flock", unsupported)
    write_atomic(tmp_path / "f", [b"x"])

    assert not old.exists()
    assert young.exists()


def test_a_file_that_is_swept_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    import fcntl

    plain, swept = fcntl.flock, []

    def swept_before(descriptor, operation):
        if not swept:
            swept.extend(tmp_path.iterdir())
            swept[0].unlink()
        plain(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", swept_before)
    write_atomic(tmp_path / "f", [b"x"])

    assert len(swept) == 1
    assert (tmp_path / "f").read_bytes() == b"x"
    assert os.listdir(tmp_path) == ["f"]
