"""With several processes, all stop at the same batch and some callbacks are on rank zero alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TWO = Path(__file__).parent / "processes/two.py"


@pytest.mark.slow
def test_two_processes_stop_together_and_one_of_them_logs(trainings, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(TWO)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]

    zero, one = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    # 24 samples in batches of 8 for 2 processes: 2 batches in epoch 0, 1 in epoch 1.
    assert zero["batches"] == one["batches"] == 3
    assert zero["epochs"] == one["epochs"] == [0, 1]
    assert (zero["reason"], one["reason"]) == ("another process stopped the training", "enough on rank 1")
    assert zero["on_zero"] > 0
    assert one["on_zero"] == 0
    assert zero["last"] == one["last"] == "on_teardown"
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3
