"""Built-in callbacks work when their methods are called by hand, without a run."""

import math

import numpy as np
import pytest
from onstage_csv_logger import CSVLogger
from onstage_early_stopping import EarlyStopping
from onstage_lambda_callback import LambdaCallback
from onstage_learning_rate_scheduler import LearningRateScheduler
from onstage_model_checkpoint import ModelCheckpoint
from onstage_progbar_logger import ProgbarLogger
from onstage_reduce_lr_on_plateau import ReduceLROnPlateau
from onstage_terminate_on_nan import TerminateOnNaN

from onstage import History, Sequential, layers
from onstage.callbacks import Callback


class Weights:
    """The least that EarlyStopping uses of a model."""

    def __init__(self):
        self.stop_training = False
        self.weights = [np.zeros(1)]

    def get_weights(self):
        return [weight.copy() for weight in self.weights]

    def set_weights(self, weights):
        self.weights = weights


def uncompiled():
    return Sequential([layers.Dense(1)])


def unbuilt():
    model = uncompiled()
    model.compile("sgd", loss="mse", metrics=["mae"])
    return model


def built():
    model = Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", loss="mse")
    return model


def begin(callback, model):
    callback.set_model(model)
    callback.on_train_begin()
    return callback


@pytest.mark.parametrize("make", [Weights, uncompiled, unbuilt, built])
@pytest.mark.parametrize("monitor", ["loss", "val_mae"])
def test_early_stopping_asks_any_model_to_stop(make, monitor):
    model = make()
    stop = begin(EarlyStopping(monitor, patience=2), model)

    asked = []
    for epoch, value in enumerate([1.0, 0.5, 0.6, 0.7]):
        stop.on_epoch_end(epoch, logs={monitor: value})
        asked.append(model.stop_training)

    assert asked == [False, False, False, True]
    assert (stop.best, stop.best_epoch, stop.wait, stop.stopped_epoch) == (0.5, 1, 2, 3)
    assert stop.monitor_op is np.less


def test_early_stopping_restores_the_weights_of_a_plain_object():
    model = Weights()
    stop = begin(EarlyStopping("loss", patience=1, restore_best_weights=True), model)

    for epoch, value in enumerate([1.0, 0.5, 0.6]):
        model.weights = [np.full(1, float(epoch))]
        stop.on_epoch_end(epoch, {"loss": value})
    stop.on_train_end()

    assert stop.best_weights == [1.0]
    assert model.weights == [1.0]


def test_the_best_value_of_early_stopping_can_be_set():
    stop = begin(EarlyStopping("loss", patience=1), Weights())
    stop.best = 0.5

    stop.on_epoch_end(1, {"loss": 0.6})

    assert stop.best == 0.5
    assert stop.model.stop_training


@pytest.mark.parametrize("make", [unbuilt, built])
def test_reduce_lr_on_plateau_sets_the_rate_of_the_model(make):
    model = make()
    reduce = begin(ReduceLROnPlateau("val_loss", factor=0.5, patience=1), model)
    logs = {"val_loss": 1.0}

    for epoch in range(2):
        reduce.on_epoch_end(epoch, logs=logs)

    assert model.learning_rate == 0.005
    assert logs["learning_rate"] == 0.01


@pytest.mark.parametrize("make", [unbuilt, built])
def test_learning_rate_scheduler_sets_the_rate_once_an_epoch(make):
    model = make()
    schedule = begin(LearningRateScheduler(lambda epoch, rate: rate / 2), model)

    logs = {}
    schedule.on_epoch_begin(0)
    schedule.on_train_batch_begin(0)
    schedule.on_epoch_end(0, logs)

    assert model.learning_rate == 0.005
    assert logs == {"learning_rate": 0.005}


@pytest.mark.parametrize("make", [Weights, uncompiled, unbuilt, built])
def test_terminate_on_nan_asks_any_model_to_stop(make, capsys):
    model = make()
    guard = begin(TerminateOnNaN(), model)

    guard.on_batch_end(0, logs={"loss": 1.0})
    assert not model.stop_training
    guard.on_batch_end(1, logs={"loss": math.inf})

    assert model.stop_training
    assert capsys.readouterr().out == "Batch 1: Invalid loss, terminating training\n"


def test_model_checkpoint_saves_at_the_end_of_epochs_only(tmp_path):
    checkpoint = begin(ModelCheckpoint(tmp_path / "{epoch}.keras"), built())

    checkpoint.on_epoch_begin(0)
    checkpoint.on_train_batch_end(0, logs={"loss": 1.0})
    assert list(tmp_path.iterdir()) == []
    checkpoint.on_epoch_end(0, logs={"loss": 1.0, "val_loss": 2.0})

    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.keras", "best", "latest"]


@pytest.mark.parametrize("make", [uncompiled, unbuilt])
def test_model_checkpoint_begins_with_a_model_that_is_not_ready(make, tmp_path):
    checkpoint = begin(ModelCheckpoint(tmp_path / "best.keras", save_best_only=True), make())

    assert checkpoint.monitor_op is np.less


def test_csv_logger_writes_a_row(tmp_path):
    log = begin(CSVLogger(tmp_path / "log.csv"), uncompiled())

    log.on_epoch_end(0, logs={"loss": 0.5})
    log.on_train_end()

    assert (tmp_path / "log.csv").read_text() == "epoch,loss\n0,0.5\n"


def test_lambda_callback_has_its_functions_as_methods():
    calls = []
    callback = begin(LambdaCallback(on_epoch_end=lambda epoch, logs: calls.append((epoch, logs))), None)

    callback.on_epoch_begin(0)
    callback.on_epoch_end(0, logs={"loss": 0.5})

    assert calls == [(0, {"loss": 0.5})]


def test_history_keeps_the_logs():
    history = begin(History(), uncompiled())

    history.on_epoch_end(0, {"loss": 0.5})
    history.on_epoch_end(1)

    assert history.history == {"loss": [0.5]}
    assert history.epoch == [0, 1]


def test_the_progress_bar_works_without_params(capsys):
    bar = begin(ProgbarLogger(), uncompiled())

    bar.on_epoch_begin(0)
    bar.on_train_batch_begin(0)
    bar.on_train_batch_end(0, logs={"loss": 0.5})
    bar.on_epoch_end(0, logs={"loss": 0.5})

    out = capsys.readouterr().out
    assert out.startswith("Epoch 1 - ")
    assert out.endswith(" - loss: 0.5000\n")


def test_a_callback_has_no_model_and_no_params_before_it_gets_them():
    callback = Callback()

    assert callback.model is None
    assert callback.params == {}
