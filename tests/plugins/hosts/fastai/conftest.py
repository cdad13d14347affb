"""Skip without fastai; use one thread and an empty folder."""

import importlib.util
import warnings
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def trainings():
    """Return the module `trainings` beside this file; skip without fastai."""
    pytest.importorskip("onstage_fastai", exc_type=ImportError)
    spec = importlib.util.spec_from_file_location("trainings", Path(__file__).with_name("trainings.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def quiet(trainings, tmp_path, monkeypatch):
    """Use one thread and an empty folder; drop fastai's warning of numpy's old names."""
    pytest.importorskip("torch").set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    warnings.filterwarnings("ignore", message=r"(?s).*numpy\.core is deprecated")
