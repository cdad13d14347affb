"""The torch examples run as a user would run them, and print the promised results."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from onstage.state import storage

pytest.importorskip("torch")
pytest.importorskip("sklearn")

EXAMPLES = Path(__file__).parents[4] / "examples"
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
A_WHILE = 240


def start(name, folder, *launcher):
    folder.mkdir(exist_ok=True)
    command = [sys.executable, *(launcher or ("-W", "error")), str(EXAMPLES / name)]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ONE_THREAD
    )


def run(name, folder, *launcher):
    process = start(name, folder, *launcher)
    printed, errors = process.communicate(timeout=A_WHILE)
    assert process.returncode == 0, errors
    return printed


def accuracy_of(printed):
    return float(re.search(r"test accuracy (\d\.\d+)", printed).group(1))


def test_a_convolutional_net_reaches_its_accuracy_and_ends_the_same_after_a_kill(tmp_path):
    whole = run("torch_digits.py", tmp_path / "whole")

    killed = start("torch_digits.py", tmp_path / "killed")
    backup = tmp_path / "killed/runs/torch_digits/backup/backup-previous.safetensors"
    ends = time.monotonic() + A_WHILE
    while not backup.exists() and killed.poll() is None and time.monotonic() < ends:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert backup.exists(), "it was killed between its second epoch and its end"
    again = run("torch_digits.py", tmp_path / "killed")

    assert accuracy_of(whole) >= 0.97
    assert again.splitlines()[-3:-1] == whole.splitlines()[-3:-1]
    best = [
        storage.load(tmp_path / each / "runs/torch_digits/best.safetensors") for each in ("whole", "killed")
    ]
    np.testing.assert_equal(best[1]["weights"], best[0]["weights"])
    assert list((tmp_path / "killed/runs/torch_digits/board/train").iterdir())
    assert not backup.parent.exists()


def test_a_plain_loop_reaches_its_accuracy_with_five_lines_changed(tmp_path):
    printed = run("own_loop_torch.py", tmp_path)

    assert accuracy_of(printed) >= 0.95
    rows = (tmp_path / "runs/own_loop/log.csv").read_text().splitlines()
    assert rows[0].startswith("epoch,")
    assert len(rows) - 1 == int(re.search(r"(\d+) epochs;", printed).group(1))
    source = (EXAMPLES / "own_loop_torch.py").read_text()
    assert re.findall(r"# (\d)", source) == ["1", "2", "3", "4", "5"]
