"""The loop of Lightning Fabric, in one process and in two."""

import csv
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

for needed in ("lightning", "sklearn"):
    if not find_spec(needed):  # Not imported: that takes seconds, and only the programs need them.
        pytest.skip(f"needs {needed}", allow_module_level=True)

EXAMPLE = Path(__file__).parents[2] / "examples/own_loop_fabric.py"
TWO = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d"]
TWO.append("--rdzv-endpoint=127.0.0.1:0")


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_the_example_reaches_its_accuracy_and_prints_it_once(processes, tmp_path):
    done = subprocess.run(
        [sys.executable, *(TWO if processes == 2 else []), str(EXAMPLE)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    (accuracy,) = re.findall(rf"{processes} processes, test accuracy (\d\.\d+)", done.stdout)
    assert float(accuracy) >= 0.95
    log = tmp_path / "runs/own_loop_fabric/log.csv"
    rows = list(csv.DictReader(log.read_text(encoding="utf-8").splitlines()))
    assert [int(row["epoch"]) for row in rows] == list(range(len(rows)))
    assert f"{len(rows)} epochs; " in done.stdout
