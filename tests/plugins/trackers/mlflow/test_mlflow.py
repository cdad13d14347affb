"""MLflow's own client reads back from an sqlite store what a training logged."""

import subprocess
import sys

import numpy as np
import pytest

import onstage
from onstage import Run, Sequential, layers
from onstage.callbacks import BackupAndRestore, EarlyStopping, ModelCheckpoint
from onstage.errors import OnstageWarning
from onstage.state import storage
from onstage.testing import CHECKS, FakeModel, replay

pytest.importorskip("mlflow")
pytestmark = [
    pytest.mark.slow,  # MLflow's import takes seconds
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:unclosed database:ResourceWarning"),
]


@pytest.fixture
def tracker(client):
    return lambda **options: onstage.callback("mlflow", **options)


def points(client, run_id, name):
    return [(metric.step, metric.value) for metric in client.get_metric_history(run_id, name)]


def files(client, run_id, folder=None):
    found = []
    for entry in client.list_artifacts(run_id, folder):
        found += files(client, run_id, entry.path) if entry.is_dir else [entry.path]
    return sorted(found)


def runs(client):
    experiment = client.get_experiment_by_name("tests")
    return client.search_runs([experiment.experiment_id])


def test_one_added_word_logs_a_training(client):
    x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
    network = Sequential([layers.Dense(2, activation="softmax")], seed=0)
    network.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])

    history = network.fit(x, (x[:, 0] > 0).astype("int64"), epochs=3, verbose=0, callbacks=["mlflow"])

    (run,) = runs(client)
    assert run.info.status == "FINISHED"
    for name, values in history.history.items():
        assert points(client, run.info.run_id, name) == list(enumerate(values))
    assert run.data.params["epochs"] == "3"
    assert run.data.params["batch_size"] == "32"
    assert run.data.tags["onstage-mlflow"] == run.data.tags["onstage"] == onstage.__version__
    assert run.data.tags["model"] == "Sequential"


def test_metrics_have_steps_and_params_are_those_of_the_callbacks(client, tracker, logs, model):
    mlflow = tracker(run_name="baseline", params={"width": 8}, tags={"team": "a"})

    replay([mlflow, EarlyStopping("val_loss", patience=7)], logs, model=model)

    run = client.get_run(mlflow.run_id)
    assert points(client, mlflow.run_id, "loss") == [(0, 0.9), (1, 0.5), (2, 0.25)]
    assert points(client, mlflow.run_id, "val_loss") == [(0, 1.0), (1, 0.75), (2, 0.5)]
    assert points(client, mlflow.run_id, "learning_rate") == [(0, 0.125), (1, 0.125), (2, 0.125)]
    assert run.info.run_name == "baseline"
    assert run.data.params["EarlyStopping.patience"] == "7"
    assert run.data.params["width"] == "8"
    assert run.data.tags["team"] == "a"
    assert run.data.tags["onstage-early-stopping"] == onstage.__version__


def test_batches_are_logged_at_their_number_across_epochs(client, tracker, logs, model):
    mlflow = tracker(update_freq=2)

    replay(mlflow, logs, model=model, batches=3)

    assert points(client, mlflow.run_id, "batch_loss") == [(2, 0.9), (4, 0.5), (6, 0.5), (8, 0.25)]


def test_checkpoints_and_the_model_are_artifacts(client, tracker, logs, model):
    mlflow = tracker(artifacts=["checkpoints", "missing"], log_model=True)

    with pytest.warns(OnstageWarning, match="artifact 'missing' does not exist"):
        replay([mlflow, ModelCheckpoint("checkpoints/{epoch}")], logs, model=model)

    saved = files(client, mlflow.run_id)
    assert saved == [
        *(f"checkpoints/{n}.safetensors" for n in (1, 2, 3)),
        "checkpoints/best",
        "checkpoints/latest",
        "model/model.safetensors",
    ]
    logged = storage.load(client.download_artifacts(mlflow.run_id, "model/model.safetensors"))
    assert logged["steps"] == 3
    np.testing.assert_array_equal(logged["weights"][0], model.get_weights()[0])


def test_a_run_inside_another_is_nested(client, tracker, logs, model):
    import mlflow

    inner = tracker()
    with mlflow.start_run() as outer:
        replay(inner, logs, model=model)

        assert mlflow.active_run().info.run_id == outer.info.run_id

    assert client.get_run(inner.run_id).data.tags["mlflow.parentRunId"] == outer.info.run_id
    assert client.get_run(outer.info.run_id).info.status == "FINISHED"


def test_other_callbacks_log_to_the_active_run(client, tracker, logs, model):
    import mlflow

    class Text:
        def on_epoch_end(self, epoch):
            mlflow.log_text(f"epoch {epoch}", f"{epoch}.txt")

    callback = tracker()
    replay([callback, Text()], logs, model=model)

    assert files(client, callback.run_id) == ["0.txt", "1.txt", "2.txt"]
    assert mlflow.active_run() is None


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_an_error_ends_the_run_with_its_status_after_all_metrics(client, tracker, logs, model, error, status):
    class Fails:
        def on_epoch_begin(self, epoch):
            if epoch == 2:
                raise error

    callback = tracker()
    with pytest.raises(error):
        replay([callback, Fails()], logs, model=model)

    assert client.get_run(callback.run_id).info.status == status
    assert points(client, callback.run_id, "loss") == [(0, 0.9), (1, 0.5)]


def test_a_stop_is_tagged_with_its_reason(client, tracker, model):
    callback = tracker()

    replay([callback, EarlyStopping("loss", patience=1)], [{"loss": 1.0}] * 4, model=model)

    tags = client.get_run(callback.run_id).data.tags
    assert tags["stopped_by"] == "EarlyStopping"
    assert "loss" in tags["stop_reason"]


class Killed:
    """Ends the process's training in an epoch, after `epoch` was saved."""

    def on_train_batch_end(self, batch):
        if self.run.epoch == 2:
            raise RuntimeError("killed")

    def set_run(self, run):
        self.run = run


@pytest.mark.parametrize("save_freq", ["epoch", 2])
def test_a_resumed_training_continues_its_run_without_repeated_points(client, tracker, model, save_freq):
    x, y = np.ones((3, 2), np.float32), np.ones((3, 1), np.float32)

    def fit(*others):
        callback = tracker(update_freq=1)
        backup = BackupAndRestore("backup", save_freq=save_freq)
        FakeModel().fit(x, y, epochs=4, batch_size=1, verbose=0, callbacks=[callback, *others, backup])
        return callback.run_id

    with pytest.raises(RuntimeError, match="killed"):
        fit(Killed())
    (before,) = runs(client)
    run_id = fit()

    assert run_id == before.info.run_id
    assert len(runs(client)) == 1
    assert client.get_run(run_id).info.status == "FINISHED"
    assert [step for step, _ in points(client, run_id, "loss")] == [0, 1, 2, 3]
    assert [step for step, _ in points(client, run_id, "batch_loss")] == list(range(1, 13))


def test_a_run_is_continued_by_its_id(client, tracker, logs, model):
    first = tracker()
    replay(first, logs[:1], model=model)
    second = tracker(run_id=first.run_id)
    replay(second, logs[1:], model=model, initial_epoch=1)

    assert points(client, first.run_id, "loss") == [(0, 0.9), (1, 0.5), (2, 0.25)]


def test_an_own_loop_is_logged(client, tracker):
    callback = tracker()

    with Run(callbacks=[callback], epochs=2) as run:
        for epoch in run.epochs():
            run.log(loss=1 / (epoch + 1))

    assert points(client, callback.run_id, "loss") == [(0, 1.0), (1, 0.5)]


def test_a_failing_store_leaves_the_training_alone(client, tracker, logs, model, tmp_path):
    class Removes:
        def on_epoch_begin(self, epoch):
            if epoch == 1:
                client.delete_run(callback.run_id)

    callback = tracker()
    with pytest.warns(OnstageWarning) as caught:
        result = replay([Removes(), callback], logs, model=model)

    assert result.epochs_run == 3
    assert result.history.disabled == ["MLflow"]
    assert "MLflow" in str(caught[0].message)
    assert "active" in str(caught[0].message)


def test_no_secret_is_logged_or_shown(client, tracker, logs, model, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret")

    class Notifies:
        def __init__(self, api_key="", url=""):
            self.api_key, self.url = api_key, url

        def on_epoch_end(self, epoch):
            pass

    callback = tracker(params={"webhook": "s3cret", "kept": 1}, tags={"token": "s3cret"})
    notifies = Notifies("s3cret", "https://me:s3cret@example.org/hook")
    result = replay([callback, notifies], logs, model=model)

    run = client.get_run(callback.run_id)
    assert run.data.params["kept"] == "1"
    everything = [run.to_dictionary(), repr(callback), result.history.plugins, callback.state_dict()]
    assert "s3cret" not in str(everything)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(client, tracker, check):
    check(tracker, FakeModel)


def test_nothing_is_imported_before_a_training():
    program = (
        "import sys, onstage; onstage.callback('mlflow'); "
        "sys.exit(bool({'mlflow', 'sqlalchemy'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
