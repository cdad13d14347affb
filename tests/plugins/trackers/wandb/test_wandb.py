"""The offline file of W&B holds what a training logged, without an account."""

import os
import subprocess
import sys

import pytest

import onstage
from onstage.callbacks import EarlyStopping
from onstage.testing import CHECKS, FakeModel, replay

pytest.importorskip("wandb")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


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
