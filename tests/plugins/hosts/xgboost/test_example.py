"""The example runs as a user would run it, and prints the promised accuracy."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[4] / "examples/hosts/xgboost_digits.py"


@pytest.mark.slow
def test_the_example_reaches_its_accuracy(folder):
    pytest.importorskip("sklearn")

    done = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert float(re.search(r"test accuracy (\d\.\d+) on 359 images", done.stdout).group(1)) >= 0.95
    rounds, kept = map(int, re.search(r"(\d+) rounds, (\d+) kept", done.stdout).groups())
    rows = list(
        csv.DictReader((folder / "runs/xgboost_digits/log.csv").read_text(encoding="utf-8").splitlines())
    )
    assert len(rows) == rounds > kept
    assert min(rows, key=lambda row: float(row["val_loss"]))["epoch"] == str(kept - 1)
