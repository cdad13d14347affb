"""Callbacks decide in Keras's fit as Keras's own do."""

import csv

import numpy as np
import pytest

from onstage import Callback, StateError
from onstage.callbacks import (
    BackupAndRestore,
    CSVLogger,
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    SwapEMAWeights,
    TensorBoard,
)
from onstage.testing import Recorder


@pytest.fixture
def keras(trainings):
    return trainings.keras


def test_early_stopping_stops_at_keras_epoch_with_its_weights(trainings, keras):
    # The first epoch stays the best: none improves by 9.
    options = {"monitor": "val_loss", "patience": 2, "min_delta": 9.0, "restore_best_weights": True}
    adapter, ours = trainings.fit([EarlyStopping(**options)], epochs=9)
    own = keras.callbacks.EarlyStopping(**options)
    _, theirs = trainings.fit([], epochs=9, beside=[own])

    assert len(adapter.history.epoch) == own.stopped_epoch + 1 == 3
    assert adapter.history.stopped_by == "EarlyStopping"
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_reduce_lr_on_plateau_is_that_of_keras(trainings, keras):
    options = {"monitor": "val_loss", "factor": 0.5, "patience": 1, "min_delta": 9.0}
    adapter, ours = trainings.fit([ReduceLROnPlateau(**options)], epochs=5)
    theirs = trainings.new_model()
    trainings.fit([], epochs=5, model=theirs, beside=[keras.callbacks.ReduceLROnPlateau(**options)])

    np.testing.assert_allclose(ours.history.history["loss"], theirs.history.history["loss"], rtol=1e-6)
    rates = theirs.history.history["learning_rate"]
    np.testing.assert_allclose(adapter.history.history["learning_rate"], rates, rtol=1e-6)
    assert min(rates) < 0.1


def test_a_schedule_per_batch_changes_the_rate_of_each_step(trainings):
    adapter, model = trainings.fit([LearningRateScheduler(lambda step: 0.0, on="batch")], epochs=1)

    for weight, initial in zip(model.get_weights(), trainings.new_model().get_weights(), strict=True):
        np.testing.assert_array_equal(weight, initial)
    assert adapter.history.history["learning_rate"] == [0.0]


def test_a_callback_that_sets_the_rate_is_refused_beside_a_schedule(trainings, keras):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    model = trainings.new_model(keras.optimizers.SGD(schedule))
    before = model.get_weights()

    with pytest.raises(TypeError, match=r"ReduceLROnPlateau needs learning_rate, .* Keras .* schedule"):
        trainings.fit([ReduceLROnPlateau("val_loss")], model=model)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_swap_ema_weights_is_that_of_keras(swap_on_epoch, trainings, keras):
    def optimizer():
        return keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5)

    adapter, ours = trainings.fit([SwapEMAWeights(swap_on_epoch)], model=trainings.new_model(optimizer()))
    theirs = trainings.new_model(optimizer())
    own = keras.callbacks.SwapEMAWeights(swap_on_epoch)
    trainings.fit([], model=theirs, beside=[own])

    values = theirs.history.history["val_loss"]
    np.testing.assert_allclose(adapter.history.history["val_loss"], values, rtol=1e-6)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_swap_ema_weights_needs_an_optimizer_with_an_average(trainings):
    with pytest.raises(ValueError, match="must have an optimizer with use_ema=True"):
        trainings.fit([SwapEMAWeights()])


def test_model_checkpoint_writes_what_keras_loads(trainings, keras, tmp_path):
    best = ModelCheckpoint(tmp_path / "best.keras", save_best_only=True)
    weights = ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True, monitor="loss")
    _, model = trainings.fit([best, weights], epochs=2)

    loaded = keras.models.load_model(tmp_path / "best.keras")
    again = trainings.new_model()
    again.load_weights(tmp_path / "2.weights.h5")
    for one, two, real in zip(loaded.get_weights(), again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, real)
        np.testing.assert_array_equal(two, real)


class CountsBatches(Callback):
    adds_logs = ("batches",)

    def on_train_begin(self):
        self.count = 0

    def on_train_batch_end(self):
        self.count += 1

    def on_epoch_end(self, logs):
        logs["batches"] = float(self.count)

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


class Killed(Exception):
    pass


def killing(stage, number):
    class Kill(Callback):
        pass

    def kill_after_epoch(self, epoch):
        if epoch == number:
            raise Killed

    def kill_in_batch(self, batch):
        if self.run.epoch == number and batch == 1:
            raise Killed

    Kill.on_epoch_begin = kill_after_epoch if stage == "epoch" else Callback.on_epoch_begin
    Kill.on_train_batch_end = kill_in_batch if stage == "batch" else Callback.on_train_batch_end
    return Kill()


def momentum(keras):
    return keras.optimizers.SGD(0.1, momentum=0.9)


def test_a_training_that_was_killed_continues_to_the_bit(trainings, keras, tmp_path):
    whole, full = trainings.fit([CountsBatches()], epochs=4, model=trainings.new_model(momentum(keras)))
    with pytest.raises(Killed):
        trainings.fit(
            [CountsBatches(), BackupAndRestore(tmp_path / "backup"), killing("epoch", 2)],
            epochs=4,
            model=trainings.new_model(momentum(keras)),
        )

    recorder = Recorder()
    adapter, model = trainings.fit(
        [CountsBatches(), BackupAndRestore(tmp_path / "backup"), recorder],
        epochs=4,
        model=trainings.new_model(momentum(keras)),
    )

    assert [event.number for event in recorder.trace if event.stage == "on_epoch_begin"] == [2, 3]
    assert adapter.history.history == whole.history.history
    assert adapter.history.history["batches"] == [3.0, 6.0, 9.0, 12.0]
    for one, other in zip(model.get_weights(), full.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_backup_inside_an_epoch_is_refused(trainings, tmp_path):
    with pytest.raises(Killed):
        trainings.fit([BackupAndRestore(tmp_path / "backup", save_freq=1), killing("batch", 1)])

    with pytest.raises(StateError, match="Keras begins each epoch at its first batch"):
        trainings.fit([BackupAndRestore(tmp_path / "backup", save_freq=1)])


def test_loggers_write_the_metrics_of_keras(trainings, tmp_path):
    callbacks = [CSVLogger("log.csv"), TensorBoard("board")]
    adapter, model = trainings.fit(callbacks, epochs=2)

    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        np.testing.assert_array_equal([float(row[name]) for row in rows], model.history.history[name])
    assert adapter.history.history == model.history.history
    assert list((tmp_path / "board").rglob("events.out.tfevents.*"))


def test_the_stop_of_a_callback_of_keras_fires_every_end(trainings, keras):
    recorder = Recorder()
    own = keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=9.0)
    adapter, _ = trainings.fit([recorder], epochs=9, beside=[own])

    assert adapter.history.epoch == [0, 1]
    assert recorder.stages[-3:] == ["on_epoch_end", "on_train_end", "on_teardown"]


class AtEpochEnd(Callback):
    def on_epoch_end(self, epoch, logs):
        self.seen = dict(logs)


def test_batches_are_listened_to_only_if_a_callback_acts_in_them(trainings, keras):
    from onstage_keras import OnstageCallback

    quiet, listening = OnstageCallback([AtEpochEnd(), "csv_logger"]), OnstageCallback(["terminate_on_nan"])

    assert keras.src.utils.is_default(quiet.on_train_batch_end)
    assert keras.src.utils.is_default(quiet.on_test_batch_end)
    assert not keras.src.utils.is_default(listening.on_train_batch_end)
    assert keras.src.utils.is_default(listening.on_test_batch_end)


def test_without_batches_the_logs_are_those_of_keras(trainings):
    last = AtEpochEnd()
    adapter, model = trainings.fit([last], epochs=2)

    assert adapter.history.history == model.history.history
    assert last.seen == {name: values[-1] for name, values in model.history.history.items()}


def test_an_evaluation_outside_the_training_reaches_no_callback(trainings):
    recorder = Recorder()
    adapter, model = trainings.fit([recorder], epochs=1)
    before = len(recorder.trace)

    model.evaluate(trainings.X, trainings.Y, verbose=0, callbacks=[adapter])

    assert len(recorder.trace) == before


def test_without_a_with_statement_the_next_training_reports_the_broken_one(trainings):
    from onstage_keras import OnstageCallback

    recorder = Recorder()
    adapter = OnstageCallback([recorder])
    with pytest.raises(Killed):
        trainings.new_model().fit(
            trainings.Batches(Killed()), epochs=1, shuffle=False, verbose=0, callbacks=[adapter]
        )
    assert "on_exception" not in recorder.stages
    trainings.fit(adapter, epochs=1)

    assert recorder.stages.count("on_exception") == 1
    assert recorder.stages.count("on_teardown") == 2
