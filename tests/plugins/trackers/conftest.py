"""A store of its own for each test of a tracker, and what a training logs there."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from onstage.testing import FakeModel

sys.path.insert(0, str(Path(__file__).parent))  # for wandb_file.py

# A tracker's package is not installed without the tracker.
collect_ignore = [
    folder.name
    for folder in Path(__file__).parent.iterdir()
    if folder.is_dir() and find_spec(f"onstage_{folder.name}") is None
]

LOGS = [
    {"loss": 0.9, "accuracy": 0.25, "val_loss": 1.0},
    {"loss": 0.5, "accuracy": 0.5, "val_loss": 0.75},
    {"loss": 0.25, "accuracy": 0.75, "val_loss": 0.5},
]


@pytest.fixture
def logs():
    """Return the logs of three epochs; all their numbers are exact in float32 but 0.9."""
    return [dict(one) for one in LOGS]


@pytest.fixture
def model():
    return FakeModel(learning_rate=0.125)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """Return an sqlite file with MLflow's tables: to make them takes seconds."""
    import mlflow

    path = tmp_path_factory.mktemp("store") / "empty.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def client(empty_store, tmp_path, monkeypatch):
    """Return MLflow's client of a store in an empty folder."""
    import mlflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    mlflow.set_experiment(experiment_id=client.create_experiment("tests", str(tmp_path / "artifacts")))
    yield client
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """Return the directory of Trackio, which reads it from the environment at its import."""
    folder = tmp_path_factory.mktemp("trackio")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACKIO_DIR", str(folder))
        pytest.importorskip("trackio")
        yield folder


@pytest.fixture
def run_file(tmp_path, monkeypatch):
    """Work in an empty folder; return a function that reads the file of an offline run of W&B."""
    from wandb_file import read_run_file

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    return lambda run_id: read_run_file(tmp_path, run_id)
