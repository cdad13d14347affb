"""Each tracker has the History of each trainer, value by value: one package logs for all of them."""

import importlib.util
import json
import sqlite3
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

import onstage
from onstage import Run, Sequential, layers

pytestmark = [
    pytest.mark.slow,  # imports of trainers and trackers take seconds
    pytest.mark.filterwarnings("ignore"),  # of both; a tracker that fails is still an error
    pytest.mark.filterwarnings("error::onstage.errors.OnstageWarning"),
]

HOSTS = Path(__file__).parents[1] / "hosts"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 4)).astype("float32")
Y = (X.sum(1) > 0).astype("int64")
EPOCHS = 3


# -- trainers: each trains with callbacks and returns the History


def fit(callbacks):
    model = Sequential([layers.Dense(2, activation="softmax")], seed=0)
    model.compile("sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model.fit(X, Y, epochs=EPOCHS, batch_size=8, validation_split=0.25, verbose=0, callbacks=callbacks)


def torch_model(callbacks):
    torch = pytest.importorskip("torch")
    onstage_torch = pytest.importorskip("onstage_torch")
    torch.manual_seed(0)
    module = torch.nn.Linear(4, 2)
    model = onstage_torch.TorchModel(
        module, torch.optim.SGD(module.parameters(), 0.1), torch.nn.CrossEntropyLoss(), metrics=["accuracy"]
    )
    return model.fit(X, Y, epochs=EPOCHS, batch_size=8, validation_split=0.25, verbose=0, callbacks=callbacks)


def own_loop(callbacks):
    with Run(callbacks=callbacks, epochs=EPOCHS) as run:
        for epoch in run.epochs():
            for batch in run.batches(range(4)):
                run.log(loss=1 / (1 + 4 * epoch + batch))
            for _ in run.test_batches(range(1)):
                run.log(loss=1 / (7 + epoch))
    return run.history


def host(name):
    def train(callbacks):
        pytest.importorskip(f"onstage_{name}", exc_type=ImportError)
        spec = importlib.util.spec_from_file_location(f"{name}_trainings", HOSTS / name / "trainings.py")
        trainings = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(trainings)
        training = trainings.make_training(callbacks, epochs=EPOCHS)
        training.run()
        return training.adapter.history

    train.__name__ = name
    return train


TRAINERS = [fit, torch_model, own_loop, *(host(folder.name) for folder in sorted(HOSTS.glob("[a-z]*")))]


# -- trackers: each logs, and returns all metrics with their steps, read back from its store


@pytest.fixture
def mlflow(request):
    pytest.importorskip("onstage_mlflow")
    client = request.getfixturevalue("client")
    callback = onstage.callback("mlflow")

    def metrics():
        names = client.get_run(callback.run_id).data.metrics
        history = {name: client.get_metric_history(callback.run_id, name) for name in names}
        return {name: [(point.step, point.value) for point in points] for name, points in history.items()}

    return callback, metrics


@pytest.fixture
def trackio(request):
    pytest.importorskip("onstage_trackio")
    folder = request.getfixturevalue("store")
    project = "".join(filter(str.isalnum, request.node.name))
    callback = onstage.callback("trackio", project=project)

    def metrics():
        with sqlite3.connect(folder / f"{project}.db") as connection:
            rows = connection.execute("SELECT step, metrics FROM metrics ORDER BY id").fetchall()
        return by_name((step, json.loads(values)) for step, values in rows)

    return callback, metrics


@pytest.fixture
def wandb(request, tmp_path):
    pytest.importorskip("onstage_wandb")
    run_file = request.getfixturevalue("run_file")
    callback = onstage.callback("wandb", mode="offline", dir=str(tmp_path))

    def metrics():
        history = run_file(callback.run_id).history
        return by_name((each.pop("epoch"), each) for each in history)

    return callback, metrics


@pytest.fixture
def optuna(tmp_path):
    pytest.importorskip("onstage_optuna")
    import optuna
    from optuna.storages.journal import JournalFileBackend

    def storage():
        return optuna.storages.JournalStorage(JournalFileBackend(str(tmp_path / "study.log")))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(storage=storage(), study_name="tests", pruner=optuna.pruners.NopPruner())
    callback = onstage.callback("optuna", trial=study.ask(), monitor="loss")

    def metrics():
        (trial,) = optuna.load_study(storage=storage(), study_name="tests").trials
        return {"loss": list(trial.intermediate_values.items())}

    return callback, metrics


def by_name(rows):
    """Return a dict of the points of each metric."""
    found = defaultdict(list)
    for step, values in rows:
        for name, value in values.items():
            if not name.startswith("_"):  # W&B's own
                found[name].append((step, value))
    return dict(found)


@pytest.fixture(params=["mlflow", "trackio", "wandb", "optuna"])
def tracker(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return request.param, *request.getfixturevalue(request.param)


@pytest.mark.parametrize("train", TRAINERS, ids=lambda train: train.__name__)
def test_the_tracker_has_the_history_of_the_trainer(tracker, train):
    name, callback, metrics = tracker

    history = train([callback])

    expected = {metric: list(enumerate(values)) for metric, values in history.history.items()}
    if name == "optuna":
        expected = {"loss": expected["loss"]}
    found = metrics()
    if "learning_rate" not in expected:  # trackers add it
        found.pop("learning_rate", None)
    assert found == expected
    assert history.epoch == list(range(EPOCHS))
