"""Callbacks decide in XGBoost as XGBoost's own do, and what it cannot do is refused."""

import csv
import pickle

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


@pytest.fixture(scope="module")
def xgb(trainings):
    return trainings.xgb


def test_early_stopping_stops_at_the_round_of_xgboost_with_its_trees(trainings, xgb):
    ours = EarlyStopping("val_logloss", patience=3, restore_best_weights=True)
    adapter, booster = trainings.fit([ours], epochs=60)
    own = xgb.callback.EarlyStopping(rounds=3, data_name="valid", metric_name="logloss", save_best=True)
    theirs = xgb.train(
        trainings.PARAMS,
        trainings.data()[0],
        60,
        evals=[(trainings.data()[1], "valid")],
        callbacks=[own],
        verbose_eval=False,
    )

    assert ours.best_epoch == theirs.best_iteration
    assert adapter.history.epoch[-1] == theirs.best_iteration + 3 < 59
    assert booster.num_boosted_rounds() == theirs.best_iteration + 1
    assert booster.get_dump() == theirs.get_dump()
    assert adapter.history.stopped_by == "EarlyStopping"


def test_without_a_stop_the_best_rounds_are_kept(trainings):
    stop = EarlyStopping(patience=99, restore_best_weights=True)
    adapter, booster = trainings.fit([stop], epochs=30)

    losses = adapter.history.history["val_loss"]
    assert len(losses) == 30
    assert booster.num_boosted_rounds() == int(np.argmin(losses)) + 1 < 30


def test_a_scheduler_sets_the_rate_of_each_round(trainings, xgb):
    rates = [0.5, 0.1, 0.9, 0.2]
    adapter, ours = trainings.fit([LearningRateScheduler(rates.__getitem__)], epochs=4)
    # XGBoost's own sets the rate of the next round.
    own = xgb.callback.LearningRateScheduler([*rates[1:], 0.0])
    theirs = xgb.train(trainings.PARAMS | {"eta": 0.5}, trainings.data()[0], 4, callbacks=[own])

    assert ours.get_dump() == theirs.get_dump()
    np.testing.assert_allclose(adapter.history.history["learning_rate"], rates, rtol=1e-6)


def test_a_plateau_lowers_the_rate_of_the_rounds(trainings):
    # None improves by 9, so that the rate is halved after each round but the first.
    reduce = ReduceLROnPlateau("val_logloss", factor=0.5, patience=1, min_delta=9.0)
    adapter, ours = trainings.fit([reduce], epochs=4)
    rates = [0.5, 0.5, 0.25, 0.125]
    _, theirs = trainings.fit([LearningRateScheduler(rates.__getitem__)], epochs=4)

    np.testing.assert_allclose(adapter.history.history["learning_rate"], rates, rtol=1e-6)
    assert ours.get_dump() == theirs.get_dump()


@pytest.mark.parametrize("suffix", [".json", ".ubj"])
def test_model_checkpoint_writes_what_xgboost_loads(suffix, trainings, xgb, folder):
    adapter, booster = trainings.fit([ModelCheckpoint(f"best{suffix}", save_best_only=True)], epochs=30)

    best = int(np.argmin(adapter.history.history["val_loss"])) + 1
    loaded = xgb.Booster(model_file=folder / f"best{suffix}")
    assert best < 30
    assert loaded.get_dump() == booster[:best].get_dump()


def test_an_estimator_runs_them_too(trainings, xgb):
    from onstage_xgboost import OnstageCallback

    callback = OnstageCallback([EarlyStopping(patience=3, restore_best_weights=True)])
    model = xgb.XGBClassifier(n_estimators=60, learning_rate=0.5, n_jobs=1, callbacks=[callback])
    x, y = trainings.X, trainings.Y
    with callback:
        model.fit(x[:80], y[:80], eval_set=[(x[:80], y[:80]), (x[80:], y[80:])], verbose=False)

    history = callback.history.history
    results = model.evals_result()
    assert history["val_logloss"] == results["validation_1"]["logloss"]
    assert history["val_0_logloss"] == results["validation_0"]["logloss"]
    assert model.get_booster().num_boosted_rounds() == int(np.argmin(history["val_loss"])) + 1
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(x[80:]), model.predict(x[80:]))
    with again.callbacks[0]:
        again.fit(x[:80], y[:80], eval_set=[(x[:80], y[:80]), (x[80:], y[80:])], verbose=False)
    assert again.callbacks[0].history.history == history


def test_cross_validation_logs_the_means_of_its_folds(trainings, xgb):
    from onstage_xgboost import OnstageCallback

    callback = OnstageCallback([EarlyStopping(patience=2), LearningRateScheduler(lambda _: 0.5)])
    with callback:
        frame = xgb.cv(trainings.PARAMS, trainings.data()[0], 40, nfold=2, callbacks=[callback])

    assert callback.history.history["val_logloss"] == list(frame["test-logloss-mean"])
    assert callback.history.history["logloss"] == list(frame["train-logloss-mean"])
    assert len(frame) == int(np.argmin(frame["test-logloss-mean"])) + 3 < 40
    with pytest.raises(TypeError, match=r"EarlyStopping needs get_weights, .* XGBoost .*; cv has no model"):
        xgb.cv(
            trainings.PARAMS,
            trainings.data()[0],
            callbacks=[OnstageCallback([EarlyStopping(restore_best_weights=True)])],
        )


BATCHES = "batches, which XGBoost does not offer to callbacks; a round has none: act in on_epoch_end"


@pytest.mark.parametrize(
    ("callback", "sentence"),
    [
        (TerminateOnNaN(), f"TerminateOnNaN needs {BATCHES}"),
        (ModelCheckpoint("m.ubj", save_freq=5), f"ModelCheckpoint needs {BATCHES}"),
        (LearningRateScheduler(lambda step: 0.1, on="batch"), f"LearningRateScheduler needs {BATCHES}"),
        (
            ModelCheckpoint("m.ubj", save_weights_only=True),
            "needs save_weights, .* leave save_weights_only out",
        ),
        (ModelCheckpoint("m.ubj", save_in_background=True), "needs snapshot, .* without save_in_background"),
        (SwapEMAWeights(), "SwapEMAWeights needs finalize_weights, .* XGBoost .*; trees have no average"),
        (BackupAndRestore("backup"), r"BackupAndRestore needs state_dict, .* XGBoost .*; pass xgb_model=…"),
    ],
)
def test_what_a_round_does_not_have_is_refused(callback, sentence, trainings):
    with pytest.raises(TypeError, match=sentence):
        trainings.fit([callback])


@pytest.mark.parametrize("booster", ["dart", "gblinear"])
def test_a_booster_without_earlier_rounds_cannot_restore_them(booster, trainings):
    base = {"objective": "binary:logistic", "booster": booster, "nthread": 1}
    adapter, _ = trainings.fit([ReduceLROnPlateau(), EarlyStopping(patience=1)], base=base)
    assert adapter.history.history["learning_rate"]

    with pytest.raises(
        TypeError, match=f"EarlyStopping needs get_weights, .*; {booster} has no earlier rounds"
    ):
        trainings.fit([EarlyStopping(restore_best_weights=True)], base=base)


def test_a_suffix_that_xgboost_does_not_write_is_refused(trainings):
    with pytest.raises(ValueError, match=r"must end in \.json or \.ubj for XGBoost, got 'm\.safetensors'"):
        trainings.fit([ModelCheckpoint("m")])


class GoBack(Callback):
    needs = ("get_weights", "set_weights")

    def on_epoch_end(self, epoch):
        if epoch == 1:
            self.kept = self.model.get_weights()
        if epoch == 3:
            self.model.set_weights(self.kept)


def test_rounds_dropped_in_the_training_are_made_anew(trainings):
    _, back = trainings.fit([GoBack()], epochs=6)
    _, straight = trainings.fit([], epochs=4)

    assert back.get_dump() == straight.get_dump()


def test_weights_of_another_kind_are_refused(trainings):
    class Average(Callback):
        def on_epoch_end(self):
            self.model.set_weights([np.array(0.5)])

    with pytest.raises(ValueError, match=r"weights must be a number of rounds from 1 to 1, got 0\.5"):
        trainings.fit([Average()])


@pytest.mark.parametrize("ours_last", [True, False])
def test_the_round_in_which_another_callback_stops_is_not_lost(ours_last, trainings, xgb):
    class Stop(xgb.callback.TrainingCallback):
        def after_iteration(self, model, epoch, evals_log):
            return epoch == 2

    recorder = Recorder()
    from onstage_xgboost import OnstageCallback

    adapter = OnstageCallback([recorder])
    train, valid = trainings.data()
    order = [Stop(), adapter] if ours_last else [adapter, Stop()]
    xgb.train(trainings.PARAMS, train, 9, evals=[(valid, "valid")], callbacks=order, verbose_eval=False)

    assert adapter.history.epoch == [0, 1, 2]
    assert len(adapter.history.history["val_loss"]) == 3
    assert recorder.stages[-4:] == ["on_test_end", "on_epoch_end", "on_train_end", "on_teardown"]


def test_loggers_write_the_metrics_of_xgboost(trainings, folder):
    results = {}
    adapter, _ = trainings.fit([CSVLogger("log.csv"), TensorBoard("board")], epochs=3, evals_result=results)

    rows = list(csv.DictReader((folder / "log.csv").read_text().splitlines()))
    assert [float(row["val_logloss"]) for row in rows] == results["valid"]["logloss"]
    assert [float(row["logloss"]) for row in rows] == results["train"]["logloss"]
    assert adapter.history.history["loss"] == results["train"]["logloss"]
    assert list((folder / "board").rglob("events.out.tfevents.*"))
