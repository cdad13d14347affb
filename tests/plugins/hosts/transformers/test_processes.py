"""With several processes, all stop at the same step and some callbacks are on rank zero alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TWO = Path(__file__).parent / "processes/two.py"


@pytest.mark.slow
def test_two_processes_stop_together_and_one_of_them_logs(trainings, tmp_path):
    run = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d"]
    done = subprocess.run(
        [sys.executable, *run, "--rdzv-endpoint=127.0.0.1:0", str(TWO)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]

    zero, one = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert zero["batches"] == one["batches"] == zero["steps"] == one["steps"] == 4
    assert zero["epochs"] == one["epochs"] == [0, 1]
    assert (zero["reason"], one["reason"]) == ("another process stopped the training", "enough on rank 1")
    assert zero["on_zero"] > 0
    assert one["on_zero"] == 0
    assert zero["last"] == one["last"] == "on_teardown"
    # The mean of both processes, as the Trainer logs it.
    assert zero["loss"] == one["loss"] == pytest.approx(zero["own_loss"], rel=1e-5)
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3
    assert (tmp_path / "model.safetensors").exists()
    assert zero["resumed"] == one["resumed"]
    assert zero["resumed"][-1] == 2
