"""Skip without Lightning; make trainings quiet."""

import importlib.util
import logging
import warnings
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def trainings():
    """Return the module `trainings` beside this file; skip without Lightning."""
    pytest.importorskip("onstage_lightning", exc_type=ImportError)
    spec = importlib.util.spec_from_file_location("trainings", Path(__file__).with_name("trainings.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def quiet(trainings, tmp_path, monkeypatch):
    """Use one thread and an empty folder; drop the advice that Lightning warns of."""
    pytest.importorskip("torch").set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    for name in ("lightning.pytorch", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for advice in (
        "many workers",
        "LeafSpec",
        "isinstance.treespec",
        "logging interval",
        "ckpt_path",
        "resumable",
    ):
        warnings.filterwarnings("ignore", message=rf"(?s).*{advice}")
