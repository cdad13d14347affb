"""With several processes, all stop at the same batch and some callbacks are on rank zero alone."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

TWO = Path(__file__).parent / "processes/two.py"


@pytest.mark.slow
def test_two_processes_stop_together_and_one_of_them_logs(trainings, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    common = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "WORLD_SIZE": "2"}
    common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, str(TWO)],
            cwd=tmp_path,
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    try:
        for process in processes:
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors[-3000:]
    finally:
        for process in processes:
            process.kill()
            process.wait()

    zero, one = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    # 24 samples in batches of 4 for 2 processes: 3 batches in epoch 0, 1 in epoch 1.
    assert zero["batches"] == one["batches"] == 4
    assert zero["iterations"] == one["iterations"] == [4]
    assert zero["epochs"] == one["epochs"] == [0, 1]
    assert (zero["reason"], one["reason"]) == ("another process stopped the training", "enough on rank 1")
    assert zero["on_zero"] > 0
    assert one["on_zero"] == 0
    assert zero["last"] == one["last"] == "on_teardown"
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["1.pt", "2.pt"]
