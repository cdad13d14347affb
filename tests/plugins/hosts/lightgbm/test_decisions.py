"""Callbacks decide in LightGBM as LightGBM's own do, and what it cannot do is refused."""

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


@pytest.fixture(scope="module")
def lgb(trainings):
    return trainings.lgb


def trees(booster):
    """Return the trees of a Booster, without its parameters."""
    return booster.model_to_string().partition("end of trees")[0].partition("Tree=0")[2]


def test_early_stopping_stops_at_the_round_of_lightgbm_with_its_trees(trainings, lgb):
    stop = EarlyStopping("val_binary_logloss", patience=3, restore_best_weights=True)
    adapter, ours = trainings.fit([stop], epochs=60)
    _, theirs = trainings.fit([], epochs=60, beside=[lgb.early_stopping(3, verbose=False)])

    assert stop.best_epoch + 1 == theirs.best_iteration == ours.best_iteration
    assert adapter.history.epoch[-1] == theirs.best_iteration + 2 < 59
    assert ours.current_iteration() == theirs.best_iteration
    np.testing.assert_array_equal(ours.predict(trainings.X), theirs.predict(trainings.X))
    assert ours.best_score == theirs.best_score
    assert adapter.history.stopped_by == "EarlyStopping"


def test_without_a_stop_the_best_rounds_are_kept(trainings):
    stop = EarlyStopping(patience=99, restore_best_weights=True)
    adapter, booster = trainings.fit([stop], epochs=30)

    losses = adapter.history.history["val_loss"]
    assert len(losses) == 30
    assert booster.current_iteration() == int(np.argmin(losses)) + 1 < 30


def test_a_stop_without_restored_rounds_predicts_with_all_of_them(trainings):
    adapter, stopped = trainings.fit([EarlyStopping(patience=3)], epochs=60)
    _, straight = trainings.fit([], epochs=len(adapter.history.epoch))

    np.testing.assert_array_equal(stopped.predict(trainings.X), straight.predict(trainings.X))


def test_a_scheduler_sets_the_rate_of_each_round(trainings, lgb):
    rates = [0.5, 0.1, 0.9, 0.2]
    adapter, ours = trainings.fit([LearningRateScheduler(rates.__getitem__)], epochs=4)
    _, theirs = trainings.fit([], epochs=4, beside=[lgb.reset_parameter(learning_rate=rates)])

    assert trees(ours) == trees(theirs)
    assert adapter.history.history["learning_rate"] == rates


@pytest.mark.parametrize("name", ["eta", "shrinkage_rate"])
def test_a_plateau_lowers_the_rate_of_the_rounds(name, trainings, lgb):
    # None improves by 9, so that the rate is halved after each round but the first.
    reduce = ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=9.0)
    params = {key: value for key, value in trainings.PARAMS.items() if key != "learning_rate"}
    adapter, ours = trainings.fit([reduce], epochs=4, params=params | {name: 0.4}, base={})
    rates = [0.4, 0.4, 0.2, 0.1]
    _, theirs = trainings.fit([], epochs=4, beside=[lgb.reset_parameter(learning_rate=rates)])

    assert adapter.history.history["learning_rate"] == rates
    assert trees(ours) == trees(theirs)


def test_model_checkpoint_writes_what_lightgbm_loads(trainings, lgb, folder):
    adapter, booster = trainings.fit([ModelCheckpoint("best.txt", save_best_only=True)], epochs=30)

    best = int(np.argmin(adapter.history.history["val_loss"])) + 1
    loaded = lgb.Booster(model_file=folder / "best.txt")
    assert best < 30
    assert loaded.num_trees() == best
    expected = booster.predict(trainings.X, num_iteration=best)
    np.testing.assert_array_equal(loaded.predict(trainings.X), expected)


@pytest.mark.filterwarnings("ignore:The argument 'eval_set'")
def test_an_estimator_runs_them_too(trainings, lgb):
    from onstage_lightgbm import OnstageCallback

    callback = OnstageCallback([EarlyStopping(patience=3, restore_best_weights=True)])
    model = lgb.LGBMClassifier(
        n_estimators=60, learning_rate=0.5, min_child_samples=5, n_jobs=1, verbosity=-1
    )
    x, y = trainings.X, trainings.Y
    with callback:
        model.fit(x[:80], y[:80], eval_set=[(x[80:], y[80:]), (x[60:100], y[60:100])], callbacks=[*callback])

    history = callback.history.history
    assert history["val_binary_logloss"] == model.evals_result_["valid_1"]["binary_logloss"]
    assert history["val_0_binary_logloss"] == model.evals_result_["valid_0"]["binary_logloss"]
    assert model.best_iteration_ == int(np.argmin(history["val_loss"])) + 1
    assert model.booster_.predict(x[80:]).shape == (40,)


def test_cross_validation_logs_the_means_of_its_folds(trainings, lgb):
    from onstage_lightgbm import OnstageCallback

    callback = OnstageCallback([EarlyStopping(patience=2), LearningRateScheduler(lambda _: 0.5)])
    data = lgb.Dataset(trainings.X, trainings.Y)
    with callback:
        results = lgb.cv(trainings.PARAMS, data, 40, nfold=2, callbacks=[*callback], eval_train_metric=True)

    means = results["valid binary_logloss-mean"]
    assert callback.history.history["val_binary_logloss"] == means
    assert callback.history.history["binary_logloss"] == results["train binary_logloss-mean"]
    assert len(means) == int(np.argmin(means)) + 3 < 40
    with pytest.raises(TypeError, match=r"EarlyStopping needs get_weights, .* LightGBM .*; cv has no model"):
        lgb.cv(
            trainings.PARAMS,
            lgb.Dataset(trainings.X, trainings.Y),
            callbacks=[*OnstageCallback([EarlyStopping(restore_best_weights=True)])],
        )


BATCHES = "batches, which LightGBM does not offer to callbacks; a round has none: act in on_epoch_end"


@pytest.mark.parametrize(
    ("callback", "sentence"),
    [
        (TerminateOnNaN(), f"TerminateOnNaN needs {BATCHES}"),
        (ModelCheckpoint("m.txt", save_freq=5), f"ModelCheckpoint needs {BATCHES}"),
        (LearningRateScheduler(lambda step: 0.1, on="batch"), f"LearningRateScheduler needs {BATCHES}"),
        (
            ModelCheckpoint("m.txt", save_weights_only=True),
            "needs save_weights, .* leave save_weights_only out",
        ),
        (ModelCheckpoint("m.txt", save_in_background=True), "needs snapshot, .* without save_in_background"),
        (SwapEMAWeights(), "SwapEMAWeights needs finalize_weights, .* LightGBM .*; trees have no average"),
        (BackupAndRestore("backup"), r"BackupAndRestore needs state_dict, .* LightGBM .*; pass init_model=…"),
    ],
)
def test_what_a_round_does_not_have_is_refused(callback, sentence, trainings):
    with pytest.raises(TypeError, match=sentence):
        trainings.fit([callback])


def test_dart_cannot_restore_earlier_rounds(trainings):
    with pytest.raises(TypeError, match=r"EarlyStopping needs get_weights, .*; dart has no earlier rounds"):
        trainings.fit([EarlyStopping(restore_best_weights=True)], params={"boosting": "dart"})


def test_a_suffix_that_lightgbm_does_not_write_is_refused(trainings):
    with pytest.raises(ValueError, match=r"must end in \.txt for LightGBM, got 'm\.safetensors'"):
        trainings.fit([ModelCheckpoint("m")])


def test_without_the_star_it_is_refused_before_the_first_round(trainings, lgb):
    from onstage_lightgbm import OnstageCallback

    recorder = Recorder()
    with pytest.raises(
        TypeError, match=r"callbacks must be \[\*OnstageCallback\(…\)\], got it without the star"
    ):
        lgb.train(
            trainings.PARAMS,
            lgb.Dataset(trainings.X, trainings.Y),
            callbacks=[OnstageCallback([recorder])],
        )
    assert recorder.stages == []


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

    assert back.num_trees() == 4
    np.testing.assert_allclose(back.predict(trainings.X), straight.predict(trainings.X), rtol=1e-6)


def test_after_the_stop_of_lightgbm_the_with_statement_ends_the_run(trainings, lgb):
    recorder = Recorder()
    stop = EarlyStopping(patience=99, restore_best_weights=True)
    adapter, booster = trainings.fit(
        [recorder, stop], epochs=60, beside=[lgb.early_stopping(3, verbose=False)]
    )

    assert recorder.stages[-2:] == ["on_train_end", "on_teardown"]
    assert len(adapter.history.epoch) == stop.best_epoch + 4
    assert booster.current_iteration() == booster.best_iteration == stop.best_epoch + 1
    assert booster.predict(trainings.X).shape == (120,)


def test_loggers_write_the_metrics_of_lightgbm(trainings, lgb, folder):
    results = {}
    callbacks = [CSVLogger("log.csv"), TensorBoard("board")]
    adapter, _ = trainings.fit(callbacks, epochs=3, beside=[lgb.record_evaluation(results)])

    rows = list(csv.DictReader((folder / "log.csv").read_text().splitlines()))
    assert [float(row["val_binary_logloss"]) for row in rows] == results["valid_1"]["binary_logloss"]
    assert [float(row["binary_logloss"]) for row in rows] == results["training"]["binary_logloss"]
    assert adapter.history.history["loss"] == results["training"]["binary_logloss"]
    assert list((folder / "board").rglob("events.out.tfevents.*"))
