"""The example runs as a user would run it, and prints the promised accuracy."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[4] / "examples/hosts/transformers_digits.py"


@pytest.mark.slow
def test_the_example_reaches_its_accuracy(tmp_path):
    pytest.importorskip("sklearn")

    done = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert float(re.search(r"test accuracy (\d\.\d+) on 359 images", done.stdout).group(1)) >= 0.95
    epochs = int(re.search(r"(\d+) epochs; ", done.stdout).group(1))
    log = tmp_path / "runs/transformers_digits/log.csv"
    rows = list(csv.DictReader(log.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == epochs
    assert "val_accuracy" in rows[0]
