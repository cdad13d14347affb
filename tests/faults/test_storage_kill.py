"""A save that is killed at any point leaves the old state or the new one."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from onstage.state import _header, _system, _tree, atomic, storage

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes"),
    # Python 3.12 warns that numpy's threads don't live on in the child; it needs none.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

KILLED = 77
OLD = {"epoch": 1, "w": np.zeros(1000), "b": np.zeros((3, 4), np.float32), "n": [1]}
NEW = {"epoch": 2, "w": np.ones(2000), "b": np.ones((3, 4), np.float32), "n": [2]}


def _which(path):
    """Load the file, and tell which of the two states it holds, whole."""
    state = storage.load(path)
    expected = OLD if state["epoch"] == 1 else NEW
    for name in ("w", "b"):
        np.testing.assert_array_equal(state[name], expected[name])
    assert state["n"] == expected["n"]
    return state["epoch"]


def _save_in_a_child(path, prepare):
    """Save NEW in a forked child after `prepare()`; give the child's exit code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            prepare()
            storage.save(path, NEW)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _assert_swept(directory):
    """Hold that the next save clears away what killed ones left."""
    storage.save(directory / "other", {})
    assert sorted(path.name for path in directory.iterdir()) == ["other", "state"]


def test_a_save_killed_at_any_line_of_its_code_leaves_the_old_or_the_new(tmp_path):
    path = tmp_path / "state"
    storage.save(path, OLD)
    files = {module.__file__ for module in (storage, _header, _tree, _system, atomic)}

    def kill_at(count):
        left = count

        def trace(frame, event, _):
            nonlocal left
            if frame.f_code.co_filename not in files:
                return None
            if event == "line":
                left -= 1
                if left < 0:
                    os._exit(KILLED)
            return trace

        return lambda: sys.settrace(trace)

    found = []
    while _save_in_a_child(path, kill_at(len(found))) == KILLED:
        found.append(_which(path))

    assert len(found) > 100
    assert set(found) == {1, 2}
    assert found == sorted(found), "a later kill can't bring the old state back"
    _assert_swept(tmp_path)


def _kill_in(name, number, when):
    """Replace os.`name`, so that its call `number` dies before, during or after."""
    plain = getattr(os, name)
    calls = 0

    def dying(*args):
        nonlocal calls
        calls += 1
        if calls < number:
            return plain(*args)
        if when == "after":
            plain(*args)
        elif when == "halfway":
            plain(args[0], bytes(args[1])[: len(args[1]) // 2])
        os._exit(KILLED)

    setattr(os, name, dying)


# Three pieces are written: the header and two arrays. The second open, fsync and
# close are those of the directory, after the rename, as is the first close.
CALLS = [
    *[("write", number, when) for number in (1, 2, 3) for when in ("before", "halfway", "after")],
    *[("fsync", number, when) for number in (1, 2) for when in ("before", "after")],
    *[("replace", 1, when) for when in ("before", "after")],
    *[("close", number, when) for number in (1, 2) for when in ("before", "after")],
    *[("open", number, when) for number in (1, 2) for when in ("before", "after")],
]


@pytest.mark.parametrize(("name", "number", "when"), CALLS)
def test_a_save_killed_in_any_call_to_the_system_leaves_the_old_or_the_new(tmp_path, name, number, when):
    path = tmp_path / "state"
    storage.save(path, OLD)

    code = _save_in_a_child(path, lambda: _kill_in(name, number, when))

    assert code == KILLED
    renamed = (name, when) == ("replace", "after") or name == "close"
    renamed = renamed or (name in {"fsync", "open"} and number == 2)
    assert _which(path) == (2 if renamed else 1)
    _assert_swept(tmp_path)


def test_a_first_save_that_is_killed_leaves_no_file(tmp_path):
    path = tmp_path / "state"

    code = _save_in_a_child(path, lambda: _kill_in("replace", 1, "before"))

    assert code == KILLED
    assert storage.load_newest([path]) is None


_SAVE_FOR_EVER = """
import sys
import numpy as np
from onstage.state import storage
count = 0
while True:
    count += 1
    storage.save(sys.argv[1], {"count": count, "w": np.full(50_000, count)})
    print(count, flush=True)
"""


def test_a_process_killed_from_outside_at_random_times_loses_no_finished_save(tmp_path):
    path = tmp_path / "state"
    rng = np.random.default_rng(0)

    for _ in range(int(os.environ.get("ONSTAGE_KILLS", "6"))):
        process = subprocess.Popen(
            [sys.executable, "-c", _SAVE_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True
        )
        process.stdout.readline()
        time.sleep(rng.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        finished = [1, *map(int, process.communicate()[0].split())][-1]

        state = storage.load(path)

        assert state["count"] in (finished, finished + 1)
        assert (state["w"] == state["count"]).all()
    path.rename(tmp_path / "moved")
    storage.save(path, {})
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["moved", "state"]
