"""Skip without XGBoost; work in an empty folder."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def trainings():
    """Return the module `trainings` beside this file; skip without XGBoost."""
    pytest.importorskip("onstage_xgboost", exc_type=ImportError)
    spec = importlib.util.spec_from_file_location("trainings", Path(__file__).with_name("trainings.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def folder(trainings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path
