"""The adapter for Keras passes every check of the kit, on torch and on JAX."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from onstage.testing import HOST_CHECKS

FOLDER = Path(__file__).parent


@pytest.mark.parametrize("check", HOST_CHECKS, ids=lambda check: check.__name__)
def test_the_adapter_passes(check, trainings):
    check(trainings.make_training)


@pytest.mark.slow
def test_everything_holds_on_jax_too():
    pytest.importorskip("jax")
    if os.environ["KERAS_BACKEND"] == "jax":
        pytest.skip("this is the process on JAX")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(FOLDER)],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-3000:]
