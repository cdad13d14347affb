"""Loops of Accelerate, in one process and in two."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("accelerate")

EXAMPLE = Path(__file__).parents[2] / "examples/own_loop_accelerate.py"
STOP = Path(__file__).parent / "processes/accelerate_stop.py"
TWO = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d"]
TWO.append("--rdzv-endpoint=127.0.0.1:0")


def run(folder, *command):
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_the_example_reaches_its_accuracy_and_prints_it_once(processes, tmp_path):
    pytest.importorskip("sklearn")

    printed = run(tmp_path, *(TWO if processes == 2 else []), EXAMPLE)

    (accuracy,) = re.findall(rf"{processes} processes, test accuracy (\d\.\d+)", printed)
    assert float(accuracy) >= 0.95
    log = tmp_path / "runs/own_loop_accelerate/log.csv"
    rows = list(csv.DictReader(log.read_text(encoding="utf-8").splitlines()))
    assert [int(row["epoch"]) for row in rows] == list(range(len(rows)))
    assert f"{len(rows)} epochs; " in printed


@pytest.mark.slow
def test_a_stop_in_one_process_ends_both_at_the_same_batch(tmp_path):
    run(tmp_path, *TWO, STOP, tmp_path)

    zero, one = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert (zero["rank"], one["rank"]) == (0, 1)
    # 24 batches of the data, 12 of each process, a step of the optimizer after every second one.
    assert zero["loader"] == 12
    # Asked after batch 4 of epoch 1, agreed on at the next step: that of batch 5.
    assert zero["batches"] == one["batches"] == 12 + 6
    assert zero["steps"] == one["steps"] == zero["iterations"] == 6 + 3
    assert zero["epochs"] == one["epochs"] == [0, 1]
    assert zero["reason"] == "process 1 asked to stop"
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3


@pytest.mark.slow
def test_a_prepared_scheduler_refuses_a_rate_of_a_callback(tmp_path):
    run(tmp_path, STOP, tmp_path)

    seen = json.loads((tmp_path / "rank0.json").read_text())
    assert "learning_rate follows AcceleratedScheduler and cannot be set to 1.0" in seen["refusal"]
    assert seen["rate"] == 0.1
    assert seen["batches"] == 24 + 5
