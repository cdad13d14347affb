"""Skip without transformers; make trainings quiet."""

import importlib.util
import logging
import warnings
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def trainings():
    """Return the module `trainings` beside this file; skip without transformers."""
    pytest.importorskip("onstage_transformers", exc_type=ImportError)
    spec = importlib.util.spec_from_file_location("trainings", Path(__file__).with_name("trainings.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def quiet(trainings, tmp_path, monkeypatch):
    """Use one thread and an empty folder."""
    pytest.importorskip("torch").set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*pin_memory")
