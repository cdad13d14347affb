"""Trackio's sqlite file holds what a training logged; nothing leaves the machine."""

import json
import os
import socket
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

import onstage
from onstage.callbacks import BackupAndRestore, EarlyStopping
from onstage.testing import CHECKS, FakeModel, replay


@pytest.fixture
def tracker(store, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    project = f"p{abs(hash(request.node.name))}"

    def connect(sock, address):
        raise AssertionError(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", connect)
    return lambda **options: onstage.callback("trackio", project=project, **options)


def rows(store, callback, query):
    with sqlite3.connect(store / f"{callback.project}.db") as connection:
        return connection.execute(query).fetchall()


def points(store, callback, name):
    found = rows(store, callback, "SELECT step, metrics FROM metrics ORDER BY id")
    values = [(step, json.loads(metrics)) for step, metrics in found]
    return [(step, each[name]) for step, each in values if name in each]


def test_the_file_has_metrics_params_and_tags(store, tracker, logs, model):
    callback = tracker(name="baseline", params={"width": 8, "api_key": "s3cret"}, tags={"team": "a"})

    replay([callback, EarlyStopping("val_loss", patience=7)], logs, model=model)

    assert points(store, callback, "loss") == [(0, 0.9), (1, 0.5), (2, 0.25)]
    assert points(store, callback, "val_loss") == [(0, 1.0), (1, 0.75), (2, 0.5)]
    ((config,),) = rows(store, callback, "SELECT config FROM configs")
    config = json.loads(config)
    assert (config["width"], config["EarlyStopping.patience"], config["epochs"]) == (8, 7, 3)
    assert config["tags"]["team"] == "a"
    assert config["tags"]["onstage-trackio"] == onstage.__version__
    assert b"s3cret" not in (store / f"{callback.project}.db").read_bytes()


def test_batches_have_their_number_across_epochs(store, tracker, logs, model):
    callback = tracker(update_freq="batch")

    replay(callback, logs, model=model, batches=2)

    steps = [step for step, _ in points(store, callback, "batch_loss")]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_a_stop_is_an_alert_and_files_are_artifacts(store, tracker, model, tmp_path):
    (tmp_path / "notes.txt").write_text("what I saw")
    callback = tracker(artifacts="notes.txt")

    replay([callback, EarlyStopping("loss", patience=1)], [{"loss": 1.0}] * 4, model=model)

    ((text,),) = rows(store, callback, "SELECT text FROM alerts")
    assert "stopped_by: EarlyStopping" in text
    blobs = [path for path in (store / "artifacts" / callback.project).rglob("*") if path.is_file()]
    assert "what I saw" in [path.read_text() for path in blobs]


def test_a_resumed_training_continues_its_run(store, tracker):
    x, y = np.ones((2, 2), np.float32), np.ones((2, 1), np.float32)

    class Killed:
        def on_epoch_begin(self, epoch):
            if epoch == 2:
                raise RuntimeError("killed")

    def fit(*others):
        callback = tracker()
        callbacks = [callback, *others, BackupAndRestore("backup")]
        FakeModel().fit(x, y, epochs=4, verbose=0, callbacks=callbacks)
        return callback

    with pytest.raises(RuntimeError, match="killed"):
        fit(Killed())
    callback = fit()

    assert [step for step, _ in points(store, callback, "loss")] == [0, 1, 2, 3]
    assert len(rows(store, callback, "SELECT DISTINCT run_name FROM metrics")) == 1


def test_an_error_loses_no_metric(store, tracker, logs, model):
    class Fails:
        def on_train_end(self):
            raise ValueError("disk full")

    callback = tracker()
    with pytest.raises(ValueError, match="disk full"):
        replay([callback, Fails()], logs, model=model)

    assert points(store, callback, "loss") == [(0, 0.9), (1, 0.5), (2, 0.25)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(tracker, check):
    check(tracker, FakeModel)


def test_nothing_is_imported_before_a_training():
    program = "import sys, onstage; onstage.callback('trackio'); sys.exit('trackio' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name != "TRACKIO_DIR"}
    assert subprocess.run([sys.executable, "-c", program], env=environment).returncode == 0
