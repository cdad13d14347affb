"""Unmodified callbacks of XGBoost run in fit, in a torch model's fit and in a loop of one's own."""

import numpy as np
import pytest

from onstage import ModelView, Run, Sequential, layers

X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
Y = (X.sum(1) > 0).astype("int64")


@pytest.fixture(scope="module")
def xgb(trainings):
    return trainings.xgb


def in_fit(given):
    model = Sequential([layers.Dense(2, activation="softmax")], seed=0)
    model.compile("sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, model.fit(X, Y, epochs=5, validation_split=0.5, verbose=0, callbacks=given)


def in_torch(given):
    torch = pytest.importorskip("torch")
    from onstage_torch import TorchModel

    torch.manual_seed(0)
    model = TorchModel(
        torch.nn.Linear(4, 2),
        lambda parameters: torch.optim.SGD(parameters, lr=0.01),
        "cross_entropy",
        ["accuracy"],
        device="cpu",
    )
    return model, model.fit(X, Y, epochs=5, validation_split=0.5, verbose=0, callbacks=given)


def in_a_loop(given):
    rate = [0.01]
    view = ModelView(
        get_learning_rate=lambda: rate[0], set_learning_rate=lambda new: rate.__setitem__(0, new)
    )
    with Run(view, given, epochs=5) as run:
        for epoch in run.epochs():
            for _ in run.batches(range(3)):
                run.log(loss=1.0 + epoch, accuracy=0.5)
            for _ in run.test_batches(range(2)):
                run.log(loss=1.0 + epoch, accuracy=0.5)
    return view, run.history


TRAINERS = pytest.mark.parametrize("train", [in_fit, in_torch, in_a_loop])


@TRAINERS
def test_early_stopping_of_xgboost_stops(train, trainings, xgb):
    from onstage_xgboost import as_callback

    # No epoch improves by 9: the first one is the best, the third ends the training.
    own = xgb.callback.EarlyStopping(
        rounds=2, min_delta=9.0, data_name="valid", metric_name="loss", maximize=False
    )
    _, history = train([as_callback(own)])

    assert history.epoch == [0, 1, 2]
    assert history.stop_reason == "EarlyStopping of XGBoost stopped the training"
    assert own.stopping_history["valid"]["loss"] == history.history["val_loss"]


@TRAINERS
def test_the_schedule_of_xgboost_sets_the_rate(train, xgb):
    from onstage_xgboost import as_callback

    model, _ = train([as_callback(xgb.callback.LearningRateScheduler(lambda epoch: 0.5 / (epoch + 1)))])

    assert model.learning_rate == pytest.approx(0.1)


@TRAINERS
def test_the_monitor_of_xgboost_prints_every_epoch(train, xgb, capfd):
    from onstage_xgboost import as_callback

    _, history = train([as_callback(xgb.callback.EvaluationMonitor())])

    lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("[")]
    assert len(lines) == 5
    assert f"train-loss:{history.history['loss'][-1]:.5f}" in lines[-1]
    assert f"valid-accuracy:{history.history['val_accuracy'][-1]:.5f}" in lines[-1]


def test_a_callback_that_needs_a_booster_is_refused(xgb):
    from onstage_xgboost import as_callback

    with pytest.raises(ValueError, match=r"save_best=True\); use onstage's EarlyStopping"):
        as_callback(xgb.callback.EarlyStopping(rounds=2, save_best=True))
    with pytest.raises(ValueError, match="got TrainingCheckPoint; use ModelCheckpoint"):
        as_callback(xgb.callback.TrainingCheckPoint("folder"))
    with pytest.raises(TypeError, match=r"must be an instance of xgboost\.callback\.TrainingCallback"):
        as_callback("early_stopping")


def test_what_else_a_booster_has_raises_with_its_name(xgb):
    from onstage_xgboost import as_callback

    class Dumps(xgb.callback.TrainingCallback):
        def after_iteration(self, model, epoch, evals_log):
            return bool(model.get_dump())

    with pytest.raises(AttributeError, match="no Booster, got a callback that asks for its 'get_dump'"):
        in_a_loop([as_callback(Dumps())])


def test_a_run_without_a_rate_refuses_the_schedule(xgb):
    from onstage_xgboost import as_callback

    schedule = as_callback(xgb.callback.LearningRateScheduler([0.1] * 5))

    with pytest.raises(TypeError, match="needs a model with learning_rate"), Run(ModelView(), [schedule]):
        pass
