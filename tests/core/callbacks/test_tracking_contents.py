"""Tracker: params, tags and files of a run, none of them a secret; its errors leave the training alone."""

import json

import numpy as np
import pytest
from lines_tracker import LOGS, Lines, points, read

import onstage
from onstage import Callback, Sequential, layers, optimizers
from onstage.errors import OnstageWarning
from onstage.testing import FakeModel, replay


class Patient(Callback):
    """A callback with options."""

    def __init__(self, patience=7, api_key="", url="", schedule=(), nothing=None):
        self.patience, self.api_key, self.url = patience, api_key, url
        self.schedule, self.nothing = schedule, nothing


# -- params and tags


def test_params_are_sizes_learning_rate_and_options_of_the_callbacks(path):
    tracker = Lines(path, params={"width": 8, "epochs": "three", "nothing": None})

    replay([tracker, Patient()], LOGS, model=FakeModel(learning_rate=0.125), batches=2)

    (params,) = read(path, "params")
    assert params == {
        "epochs": "three",  # the user's replace others
        "steps": 2,
        "batch_size": 1,
        "samples": 2,
        "learning_rate": 0.125,
        "width": 8,
        "Patient.patience": 7,
        "Patient.url": "",
    }


def test_params_of_a_model_are_its_loss_optimizer_and_metrics(path):
    model = Sequential([layers.Dense(1)], seed=0)
    model.compile(optimizers.SGD(0.25, momentum=0.5), loss="mse", metrics=["mae", "accuracy"])

    model.fit(np.ones((6, 2), "f"), np.ones((6, 1), "f"), batch_size=2, verbose=0, callbacks=[Lines(path)])

    (params,) = read(path, "params")
    assert {name: params[name] for name in ("epochs", "steps", "batch_size", "samples")} == {
        "epochs": 1,
        "steps": 3,
        "batch_size": 2,
        "samples": 6,
    }
    assert params["compile.optimizer.class_name"] == "SGD"
    assert params["compile.optimizer.config.learning_rate"] == 0.25
    assert params["compile.optimizer.config.momentum"] == 0.5
    assert params["compile.loss.class_name"] == "MeanSquaredError"
    assert params["compile.metrics"] == "mae, accuracy"


def test_tags_are_the_model_the_callbacks_their_versions_and_those_of_the_user(path):
    replay([Lines(path, tags={"team": "a", "seed": 3}), Patient()], LOGS)

    (tags,) = read(path, "tags")
    assert tags["onstage"] == tags["onstage-core"] == onstage.__version__
    assert tags["callbacks"].split(", ")[:2] == ["Lines", "Patient"]
    assert (tags["model"], tags["team"], tags["seed"]) == ("FakeModel", "a", "3")


def test_a_secret_is_in_no_params_tags_repr_history_or_state(path):
    secret = "s3cret"
    tracker = Lines(path, params={"webhook": secret, "kept": 1}, tags={"hub_token": secret})
    notifies = Patient(api_key=secret, url=f"https://me:{secret}@example.org/hook")

    result = replay([tracker, notifies], LOGS)

    (params,) = read(path, "params")
    assert (params["kept"], params["Patient.url"]) == (1, "https://example.org/hook")
    everything = [path.read_text(), repr(tracker), result.history.plugins, tracker.state_dict()]
    assert secret not in str(everything)


# -- files


def test_artifacts_are_saved_at_the_end_even_of_a_training_that_failed(path, tmp_path):
    (tmp_path / "runs/old").mkdir(parents=True)
    (tmp_path / "runs/old/1.txt").write_text("one")
    (tmp_path / "runs/2.txt").write_text("two")

    class Writes(Callback):
        def on_epoch_end(self, epoch, logs=None):
            (tmp_path / "notes.txt").write_text(f"epoch {epoch}")
            if epoch == 1:
                raise ValueError("diverged")

    with pytest.raises(ValueError, match="diverged"):
        replay([Lines(path, artifacts=["runs", tmp_path / "notes.txt"]), Writes()], LOGS)

    saved = dict(zip(read(path, "file"), read(path, "content"), strict=True))
    assert saved == {"runs/2.txt": "two", "runs/old/1.txt": "one", "notes.txt": "epoch 1"}
    last = json.loads(path.read_text().splitlines()[-1])
    assert last["status"] == "failed"


def test_a_missing_artifact_is_a_warning_and_one_path_needs_no_list(path):
    with pytest.warns(OnstageWarning, match=r"the artifact 'absent' does not exist at the end of the train"):
        replay(Lines(path, artifacts="absent"), LOGS)

    assert read(path, "file") == []
    assert read(path, "status") == ["finished"]


def test_the_trained_model_is_saved_on_request(path):
    model = FakeModel()
    replay(Lines(path, log_model=True), LOGS, model=model)

    assert read(path, "file") == ["model/model.safetensors"]
    assert [saved.name for saved in model.saved] == ["model.safetensors"]
    assert not model.saved[0].exists()  # of a temporary folder

    with pytest.raises(TypeError, match=r"Lines needs a model with save, got "):
        replay(Lines(path, log_model=True), LOGS, model=object())


# -- errors


class Broken(Lines):
    """Fails in one of its methods, like a server that is gone."""

    def __init__(self, filepath, method, **options):
        super().__init__(filepath, **options)
        setattr(self, method, self.fail)

    def fail(self, *_):
        raise ConnectionError("the server is gone")


@pytest.mark.parametrize("method", ["connect", "start", "log", "save_file", "finish"])
def test_a_tracker_that_fails_is_removed_and_the_training_goes_on(path, tmp_path, method):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.warns(OnstageWarning) as caught:
        result = replay(Broken(path, method, artifacts="notes.txt", update_freq=1), LOGS, batches=9)

    assert result.epochs_run == 3
    assert result.history.disabled == ["Broken"]
    assert "callback Broken failed in on_" in str(caught[0].message)
    assert "takes no further part: ConnectionError: the server is gone" in str(caught[0].message)
    started = method not in ("connect", "start")
    assert len(read(path, "run_id")) == started
    assert len(read(path, "status")) == (started and method != "finish")
    assert read(path, "file") == (["notes.txt"] if method == "finish" else [])
    assert bool(points(path, "loss")) == (method in ("save_file", "finish"))


def test_on_error_raise_ends_the_training(path):
    tracker = Broken(path, "log")
    tracker.on_error = "raise"

    with pytest.raises(ConnectionError, match="the server is gone"):
        replay(tracker, LOGS)

    assert len(read(path, "status")) == 1


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"update_freq": "epochs"}, ValueError, "'epoch', 'batch' or a number of batches, got 'epochs'"),
        ({"update_freq": 0}, ValueError, "update_freq must be an integer >= 1, got 0"),
        ({"update_freq": 1.5}, TypeError, r"update_freq must be an integer >= 1, got 1\.5"),
        ({"log_model": "yes"}, TypeError, "log_model must be True or False, got 'yes'"),
    ],
)
def test_wrong_options_are_refused_by_name_and_value(path, options, error, match):
    with pytest.raises(error, match=match):
        Lines(path, **options)
