"""The Flax example; needs Flax."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")
pytest.importorskip("sklearn")

EXAMPLE = Path(__file__).parents[2] / "examples/own_loop_flax.py"


@pytest.mark.slow
def test_a_flax_loop_reaches_its_accuracy_and_callbacks_reduce_its_rate(tmp_path):
    command = [sys.executable, "-W", "error", EXAMPLE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False)

    assert done.returncode == 0, done.stderr
    assert float(re.search(r"test accuracy (\d\.\d+)", done.stdout).group(1)) >= 0.95
    assert "val_loss has not improved" in done.stdout
    # The rate that the optimizer used, read back after each epoch.
    rates = [float(rate) for rate in re.findall(r"learning_rate: (\S+)", done.stdout)]
    assert rates[0] == 3e-3
    assert rates[-1] <= 3e-4
