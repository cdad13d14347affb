"""Callbacks decide in CatBoost as CatBoost's own do, and what it cannot do is refused."""

import csv

import numpy as np
import pytest

from onstage import Callback
from onstage.callbacks import (
    BackupAndRestore,
    CSVLogger,
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    SwapEMAWeights,
    TensorBoard,
    TerminateOnNaN,
)
from onstage.testing import Recorder


def test_early_stopping_stops_at_the_round_of_catboost_with_its_trees(trainings):
    stop = EarlyStopping("val_logloss", patience=3, restore_best_weights=True)
    adapter, ours = trainings.fit([stop], epochs=60)
    theirs = trainings.new_model(60, use_best_model=True, early_stopping_rounds=3)
    theirs.fit(trainings.X[:80], trainings.Y[:80], eval_set=(trainings.X[80:], trainings.Y[80:]))

    assert stop.best_epoch == theirs.best_iteration_
    assert adapter.history.epoch[-1] == theirs.best_iteration_ + 3 < 59
    assert ours.tree_count_ == theirs.tree_count_ == stop.best_epoch + 1
    np.testing.assert_array_equal(ours.predict_proba(trainings.X), theirs.predict_proba(trainings.X))
    assert adapter.history.stopped_by == "EarlyStopping"


def test_without_a_stop_the_best_rounds_are_kept(trainings):
    stop = EarlyStopping(patience=99, restore_best_weights=True)
    adapter, model = trainings.fit([stop], model=trainings.new_model(30, learning_rate=1.5, depth=6))

    losses = adapter.history.history["val_loss"]
    assert len(losses) == 30
    assert model.tree_count_ == int(np.argmin(losses)) + 1 < 30


BATCHES = "batches, which CatBoost does not offer to callbacks; a round has none: act in on_epoch_end"
RATE = "learning_rate, .* CatBoost .*; pass learning_rate to the model"


@pytest.mark.parametrize(
    ("callback", "sentence"),
    [
        (TerminateOnNaN(), f"TerminateOnNaN needs {BATCHES}"),
        (LearningRateScheduler(lambda epoch: 0.1), f"LearningRateScheduler needs {RATE}"),
        (ReduceLROnPlateau(), f"ReduceLROnPlateau needs {RATE}"),
        (ModelCheckpoint("m.cbm"), r"ModelCheckpoint needs save, .* CatBoost .*; .* pass save_snapshot=True"),
        (ModelCheckpoint("m.cbm", save_weights_only=True), "ModelCheckpoint needs save_weights, .* CatBoost"),
        (SwapEMAWeights(), "SwapEMAWeights needs finalize_weights, .* CatBoost .*; trees have no average"),
        (BackupAndRestore("backup"), "BackupAndRestore needs state_dict, .*; pass save_snapshot=True"),
    ],
)
def test_what_a_round_does_not_have_is_refused_before_fit(callback, sentence, trainings):
    recorder = Recorder()
    with pytest.raises(TypeError, match=sentence):
        trainings.fit([recorder, callback])
    assert "on_train_begin" not in recorder.stages


def test_best_weights_need_the_model_and_all_of_its_rounds(trainings):
    stop = EarlyStopping(restore_best_weights=True)
    with pytest.raises(
        TypeError, match=r"EarlyStopping needs get_weights, .*; pass model=… to OnstageCallback"
    ):
        trainings.fit([stop], given={})
    with pytest.raises(TypeError, match=r"EarlyStopping needs set_weights, .* with use_best_model=False"):
        trainings.fit([stop], model=trainings.new_model(5, use_best_model=True))

    adapter, _ = trainings.fit([EarlyStopping(patience=2)], epochs=30, given={})
    assert len(adapter.history.epoch) < 30


def test_without_a_with_statement_it_is_refused(trainings):
    from onstage_catboost import OnstageCallback

    with pytest.raises(trainings.CatBoostError, match=r"write with OnstageCallback\(…\) as callback"):
        trainings.new_model(2).fit(trainings.X, trainings.Y, callbacks=[OnstageCallback()])


def test_a_second_fit_in_one_with_statement_is_refused(trainings):
    from onstage_catboost import OnstageCallback

    with (
        pytest.raises(RuntimeError, match="each fit must have its own with statement"),
        OnstageCallback() as callback,
    ):
        trainings.new_model(2).fit(trainings.X, trainings.Y, callbacks=[callback])
        trainings.new_model(2).fit(trainings.X, trainings.Y, callbacks=[callback])


def test_rounds_cannot_be_dropped_in_the_training(trainings):
    class GoBack(Callback):
        def on_epoch_end(self, epoch):
            if epoch == 1:
                self.model.set_weights([np.array(1)])

    with pytest.raises(RuntimeError, match="no model before fit returns: set weights in on_train_end"):
        trainings.fit([GoBack()])


def test_metrics_have_names_in_lower_case_and_the_last_set_is_the_validation(trainings):
    x, y = trainings.X, trainings.Y
    from onstage_catboost import OnstageCallback

    model = trainings.new_model(3, custom_metric=["AUC:hints=skip_train~false", "Accuracy"])
    with OnstageCallback() as callback:
        model.fit(x[:80], y[:80], eval_set=[(x[80:], y[80:]), (x[60:100], y[60:100])], callbacks=[callback])

    history, results = callback.history.history, model.get_evals_result()
    assert history["accuracy"] == results["learn"]["Accuracy"]
    assert history["loss"] == history["logloss"] == results["learn"]["Logloss"]
    assert history["val_loss"] == results["validation_1"]["Logloss"]
    assert history["val_0_accuracy"] == results["validation_0"]["Accuracy"]


def test_loggers_write_the_metrics_of_catboost(trainings, folder):
    adapter, model = trainings.fit([CSVLogger("log.csv"), TensorBoard("board")], epochs=3)

    rows = list(csv.DictReader((folder / "log.csv").read_text().splitlines()))
    results = model.get_evals_result()
    assert [float(row["val_logloss"]) for row in rows] == results["validation"]["Logloss"]
    assert [float(row["logloss"]) for row in rows] == results["learn"]["Logloss"]
    assert adapter.history.history["loss"] == results["learn"]["Logloss"]
    assert list((folder / "board").rglob("events.out.tfevents.*"))


class CountsRounds(Callback):
    adds_logs = ("rounds",)

    def on_train_begin(self):
        self.count = 0

    def on_epoch_end(self, logs):
        self.count += 1
        logs["rounds"] = float(self.count)

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


@pytest.mark.parametrize("from_file", [False, True])
def test_the_callbacks_go_on_where_they_were(from_file, trainings, folder):
    _, first = trainings.fit([CountsRounds(), EarlyStopping(patience=9)], epochs=3)
    earlier = first
    if from_file:
        earlier = str(folder / "first.cbm")
        first.save_model(earlier)

    model, recorder, stop = trainings.new_model(2), Recorder(), EarlyStopping(patience=9)
    adapter, continued = trainings.fit(
        [CountsRounds(), stop, recorder],
        epochs=2,
        model=model,
        given={"model": model, "init_model": earlier},
        init_model=earlier,
    )

    begun = [event.number for event in recorder.trace if event.stage == "on_epoch_begin"]
    assert begun == [3, 4]
    assert adapter.history.history["rounds"] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert stop.best == min(adapter.history.history["val_loss"])
    assert continued.tree_count_ == 5
