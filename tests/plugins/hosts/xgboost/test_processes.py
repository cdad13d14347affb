"""With several processes, all stop at the same round and some callbacks are on rank zero alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TWO = Path(__file__).parent / "processes/two.py"


@pytest.mark.slow
def test_two_processes_stop_together_and_one_of_them_logs(folder):
    done = subprocess.run(
        [sys.executable, str(TWO)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]

    zero, one = (json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert zero["epochs"] == one["epochs"] == [0, 1]
    assert (zero["reason"], one["reason"]) == ("another process stopped the training", "enough on rank 1")
    assert (zero["on_zero"], one["on_zero"]) == (2, 0)
    assert zero["last"] == one["last"] == "on_teardown"
    assert len((folder / "log.csv").read_text().splitlines()) == 3
