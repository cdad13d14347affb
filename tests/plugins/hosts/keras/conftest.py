"""Skip without Keras; make trainings quiet."""

import importlib.util
import os
import warnings
from pathlib import Path

import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")


@pytest.fixture(scope="session")
def trainings():
    """Return the module `trainings` beside this file; skip without Keras."""
    pytest.importorskip("onstage_keras", exc_type=ImportError)
    spec = importlib.util.spec_from_file_location("trainings", Path(__file__).with_name("trainings.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def quiet(trainings, tmp_path, monkeypatch):
    """Work in an empty folder; drop what Keras warns of in its own code."""
    monkeypatch.chdir(tmp_path)
    for cause in ("__array__ implementation", "jax_enable"):
        warnings.filterwarnings("ignore", message=rf"(?s).*{cause}")
