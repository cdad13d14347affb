"""Containers that share a directory and a host name, in each of which the program is process 1."""

import os
import subprocess
import sys

import pytest

from onstage.state import storage

IN_A_CONTAINER = ("unshare", "--map-root-user", "--pid", "--fork", "--kill-child")


def _can_unshare():
    try:
        tried = subprocess.run([*IN_A_CONTAINER, "true"], capture_output=True, check=False)
    except OSError:
        return False
    return tried.returncode == 0


pytestmark = pytest.mark.skipif(not _can_unshare(), reason="may not make PID namespaces")

SAVES = 60

_SAVES = f"""
import os, sys
import numpy as np
from onstage.state import storage

assert os.getpid() == 1
failed = 0
for count in range({SAVES}):
    try:
        storage.save(sys.argv[1], {{"count": count, "w": np.full(20_000, count)}})
    except OSError:
        failed += 1
sys.exit(failed)
"""

_TRAINS = """
import os, sys
from onstage import Run
from onstage.callbacks import BackupAndRestore, CSVLogger
from onstage.testing import FakeModel

assert os.getpid() == 1
callback = CSVLogger(sys.argv[1] + "/log.csv") if "log" in sys.argv else BackupAndRestore(sys.argv[1])
with Run(FakeModel(), [callback], epochs=2) as run:
    for epoch in run.epochs():
        print("begun", flush=True)
        sys.stdin.readline()
        run.log(loss=1.0)
"""


def _container(program, *arguments):
    return subprocess.Popen(
        [*IN_A_CONTAINER, sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )


def test_saves_of_two_containers_in_one_directory_all_succeed(tmp_path):
    containers = [_container(_SAVES, tmp_path / name) for name in "ab"]

    failures = [container.communicate()[1] or container.returncode for container in containers]

    assert failures == [0, 0]
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    for name in "ab":
        assert storage.load(tmp_path / name)["count"] == SAVES - 1


@pytest.mark.parametrize("what", ["backup", "log"])
def test_a_second_container_that_trains_in_the_same_place_is_refused(tmp_path, what):
    first = _container(_TRAINS, tmp_path, what)
    assert first.stdout.readline() == "begun\n"

    second = _container(_TRAINS, tmp_path, what)
    _, stderr = second.communicate()

    assert second.returncode == 1
    assert "RuntimeError: " in stderr
    assert "must be used by one training at a time, got a second one while process 1 on " in stderr
    _, stderr = first.communicate("\n\n")
    assert (first.returncode, stderr) == (0, "")


@pytest.mark.parametrize("what", ["backup", "log"])
def test_the_place_of_a_killed_container_is_taken_over(tmp_path, what):
    first = _container(_TRAINS, tmp_path, what)
    assert first.stdout.readline() == "begun\n"
    first.kill()
    first.communicate()

    second = _container(_TRAINS, tmp_path, what)
    _, stderr = second.communicate("\n\n")

    assert (second.returncode, stderr) == (0, "")
