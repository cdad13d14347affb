"""The offline file of W&B holds what a training logged, without an account."""

import json
import os
import struct
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

import onstage
from onstage.callbacks import EarlyStopping
from onstage.testing import CHECKS, FakeModel, replay

pytest.importorskip("wandb")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

BLOCK, HEADER = 32768, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(path):
    """Yield the records of a file in the format of LevelDB's log, after a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = path.read_bytes(), HEADER, b""
    assert data[:4] == b":W&B"
    while at < len(data):
        left = BLOCK - at % BLOCK
        if left < HEADER:  # padding
            at += left
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + HEADER])
        part, at = data[at + HEADER : at + HEADER + size], at + HEADER + size
        if len(part) < size:  # still being written
            return
        whole = part if kind in (FULL, FIRST) else whole + part
        if kind in (FULL, LAST):
            yield Record.FromString(whole)


def whole_file(path):
    """Return the records; wandb's service writes the last of them after ``finish`` has returned."""
    found = list(records(path))
    for _ in range(600):
        if any(record.WhichOneof("record_type") == "exit" for record in found):
            break
        time.sleep(0.05)
        found = list(records(path))
    return found


@pytest.fixture
def run_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))

    def read(run_id):
        (path,) = tmp_path.glob(f"wandb/offline-run-*-{run_id}/run-{run_id}.wandb")
        found = SimpleNamespace(history=[], config={}, summary={}, metrics={}, exit_code=None)
        found.folder = path.parent
        for record in whole_file(path):
            kind = record.WhichOneof("record_type")
            if kind == "history":
                items = record.history.item
                found.history.append(
                    {item.key or item.nested_key[0]: json.loads(item.value_json) for item in items}
                )
            elif kind in ("run", "config"):
                updates = record.run.config.update if kind == "run" else record.config.update
                found.config |= {item.key: json.loads(item.value_json) for item in updates}
            elif kind == "summary":
                found.summary |= {
                    item.key or item.nested_key[0]: json.loads(item.value_json)
                    for item in record.summary.update
                }
            elif kind == "exit":
                found.exit_code = record.exit.exit_code
            elif kind == "metric":
                found.metrics[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        return found

    return read


def tracker(**options):
    # Once imported, wandb remembers the current folder.
    return onstage.callback("wandb", project="tests", mode="offline", dir=os.getcwd(), **options)


def points(found, name, axis="epoch"):
    return [(each[axis], each[name]) for each in found.history if name in each]


def test_the_file_has_metrics_params_and_tags(run_file, logs, model):
    callback = tracker(params={"width": 8, "api_key": "s3cret"}, tags={"team": "a"})

    replay([callback, EarlyStopping("val_loss", patience=7)], logs, model=model)

    found = run_file(callback.run_id)
    assert points(found, "loss") == [(0, 0.9), (1, 0.5), (2, 0.25)]
    assert points(found, "val_loss") == [(0, 1.0), (1, 0.75), (2, 0.5)]
    assert (found.config["width"], found.config["EarlyStopping.patience"]) == (8, 7)
    assert found.config["tags"]["onstage-wandb"] == onstage.__version__
    assert found.exit_code == 0
    assert found.metrics["*"] == "epoch"
    assert not any(b"s3cret" in path.read_bytes() for path in found.folder.rglob("*") if path.is_file())


def test_batches_are_over_their_number(run_file, logs, model):
    callback = tracker(update_freq=2)

    replay(callback, logs, model=model, batches=2)

    found = run_file(callback.run_id)
    assert points(found, "batch_loss", "batch") == [(2, 0.9), (4, 0.5), (6, 0.25)]
    assert found.metrics["batch_*"] == "batch"


def test_files_are_saved_and_a_stop_is_in_the_summary(run_file, model, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/notes.txt").write_text("what I saw")
    callback = tracker(artifacts="runs", log_model=True)

    replay([callback, EarlyStopping("loss", patience=1)], [{"loss": 1.0}] * 4, model=model)

    found = run_file(callback.run_id)
    assert (found.folder / "files/runs/notes.txt").read_text() == "what I saw"
    assert (found.folder / "files/model/model.safetensors").stat().st_size > 0
    assert found.summary["stopped_by"] == "EarlyStopping"


def test_an_error_ends_the_run_as_failed_after_all_metrics(run_file, logs, model):
    class Fails:
        def on_epoch_begin(self, epoch):
            if epoch == 2:
                raise ValueError("diverged")

    callback = tracker()
    with pytest.raises(ValueError, match="diverged"):
        replay([callback, Fails()], logs, model=model)

    found = run_file(callback.run_id)
    assert points(found, "loss") == [(0, 0.9), (1, 0.5)]
    assert found.exit_code == 1


def test_an_open_run_is_used_and_stays_open(run_file, logs, model):
    import wandb

    with wandb.init(mode="offline", project="tests", dir=os.getcwd()) as run:
        callback = tracker()
        replay(callback, logs, model=model)

        assert wandb.run is run
        assert callback.run_id == run.id

    assert len(points(run_file(run.id), "loss")) == 3


def test_a_loaded_state_continues_the_run(run_file, logs, model):
    first = tracker()
    replay(first, logs[:1], model=model)
    state = first.state_dict()

    class Resumes:
        def on_train_begin(self):
            second.load_state_dict(state)

    second = tracker()
    replay([second, Resumes()], logs[1:], model=model, initial_epoch=1)

    assert second.run_id == first.run_id


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(run_file, check):
    check(tracker, FakeModel)


def test_nothing_is_imported_before_a_training():
    program = "import sys, onstage; onstage.callback('wandb'); sys.exit('wandb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
