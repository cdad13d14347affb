"""The JAX example; needs JAX."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jax")
pytest.importorskip("sklearn")

EXAMPLE = Path(__file__).parents[2] / "examples/own_loop_jax.py"


def test_a_jax_loop_reaches_its_accuracy_and_restores_its_best_weights(tmp_path):
    command = [sys.executable, "-W", "error", EXAMPLE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)

    assert done.returncode == 0, done.stderr
    assert float(re.search(r"test accuracy (\d\.\d+)", done.stdout).group(1)) >= 0.95
    assert "val_loss has not improved" in done.stdout
