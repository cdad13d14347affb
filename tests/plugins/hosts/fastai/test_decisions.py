"""Callbacks decide in fastai's Learner as in fit."""

import csv
import sys

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
)
from onstage.testing import Recorder


class Scripted(Callback):
    """Replaces the loss of the validation."""

    adds_logs = ("val_loss",)
    before = ("early_stopping", "reduce_lr_on_plateau")

    def __init__(self, *values):
        self.values = values

    def on_epoch_end(self, epoch, logs):
        logs["val_loss"] = self.values[epoch]


class Failure(Exception):
    pass


def weights_of(learn):
    return [weight.numpy() for weight in learn.model.state_dict().values()]


def test_early_stopping_stops_at_keras_epoch_and_restores_the_best_weights(trainings):
    # Keras: best in epoch 1, waits in 2 and 3, stops after epoch 3.
    stop = EarlyStopping("val_loss", patience=2, restore_best_weights=True)
    adapter, learn = trainings.fit([Scripted(3.0, 1.0, 2.0, 2.0, 0.5), stop], epochs=5)

    assert adapter.history.epoch == [0, 1, 2, 3]
    assert (stop.stopped_epoch, stop.best_epoch) == (3, 1)
    assert adapter.history.stopped_by == "EarlyStopping"
    assert len(learn.recorder.values) == 4
    for weight, best in zip(weights_of(learn), stop.best_weights, strict=True):
        np.testing.assert_array_equal(weight, best)


def test_reduce_lr_on_plateau_changes_the_rate_of_the_optimizer(trainings):
    reduce = ReduceLROnPlateau("val_loss", factor=0.5, patience=1)
    adapter, learn = trainings.fit([Scripted(1.0, 1.0, 1.0), reduce])

    np.testing.assert_allclose(adapter.history.history["learning_rate"], [0.1, 0.1, 0.05])
    np.testing.assert_allclose(learn.recorder.lrs, [0.1] * 6 + [0.05] * 3)


def test_the_rates_of_groups_keep_their_proportions(trainings):
    def groups(model):
        return [[model.weight], [model.bias]]

    rate = LearningRateScheduler(lambda epoch: 0.02)
    _, learn = trainings.fit([rate], epochs=1, splitter=groups, lr=slice(0.01, 0.1))

    np.testing.assert_allclose([group["lr"] for group in learn.opt.hypers], [0.002, 0.02])


@pytest.mark.parametrize(
    "callback",
    [LearningRateScheduler(lambda epoch: 0.1), ReduceLROnPlateau("val_loss")],
    ids=["scheduler", "plateau"],
)
def test_a_callback_that_sets_the_rate_is_refused_beside_a_schedule(callback, trainings):
    from onstage_fastai import OnstageCallback

    recorder = Recorder()
    learn = trainings.new_learner([OnstageCallback([callback, recorder])])

    with pytest.raises(
        TypeError,
        match=f"{type(callback).__name__} needs learning_rate, which fastai does not offer to callbacks; "
        "ParamScheduler sets it: use Learner.fit",
    ):
        learn.fit_one_cycle(1)
    assert recorder.stages == ["on_exception", "on_teardown"]


@pytest.mark.parametrize(
    ("callback", "own_way"),
    [
        (BackupAndRestore("backup"), "use SaveModelCallback"),
        (SwapEMAWeights(), "average the weights with torch.optim.swa_utils.AveragedModel"),
        (ModelCheckpoint("a.pth", save_in_background=True), "save without save_in_background"),
    ],
)
def test_what_fastai_does_itself_is_refused_with_its_way(callback, own_way, trainings):
    with pytest.raises(TypeError, match=f"{type(callback).__name__} needs .* fastai .*{own_way}"):
        trainings.fit([callback])


def test_model_checkpoint_writes_what_the_learner_loads(trainings, tmp_path):
    _, learn = trainings.fit([ModelCheckpoint(tmp_path / "{epoch}.pth")], epochs=2)
    other = trainings.new_learner([])
    other.create_opt()

    other.load(tmp_path / "2")

    for weight, saved in zip(weights_of(learn), weights_of(other), strict=True):
        np.testing.assert_array_equal(weight, saved)


def test_gradients_are_those_of_the_step(trainings):
    class Gradients(Callback):
        def __init__(self):
            self.shapes = []

        def on_optimizer_step_begin(self, batch, gradients):
            self.shapes.append((batch, [tuple(each.shape) for each in gradients]))

    callback = Gradients()
    trainings.fit([callback], epochs=1)

    assert callback.shapes == [(batch, [(2, 4), (2,)]) for batch in range(3)]


def test_the_logs_are_means_of_the_batches_and_the_values_of_the_recorder(trainings, tmp_path, capfd):
    from fastai.learner import Recorder as FastaiRecorder
    from onstage_fastai import OnstageCallback

    recorder = Recorder()
    callback = OnstageCallback([CSVLogger("log.csv"), TensorBoard("board"), recorder], verbose=2)
    learn = trainings.new_learner([callback])
    learn.remove_cb(FastaiRecorder)
    learn.add_cb(FastaiRecorder(train_metrics=True))
    losses, measure = [], learn.loss_func

    def loss_func(outputs, y):
        loss = measure(outputs, y)
        if learn.training:
            losses.append(loss.item())
        return loss

    learn.loss_func = loss_func
    with callback:
        learn.fit(2)

    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    names = ["loss", "accuracy", "val_loss", "val_accuracy"]
    for row, values, epoch in zip(rows, learn.recorder.values, (losses[:3], losses[3:]), strict=True):
        np.testing.assert_allclose([float(row[name]) for name in names[1:]], values[1:], rtol=1e-6)
        assert float(row["loss"]) == pytest.approx(np.mean(epoch))
    batches = [
        logs["loss"]
        for event, logs in zip(recorder.trace, recorder.logs, strict=True)
        if event.stage == "on_train_batch_end"
    ]
    np.testing.assert_allclose(batches[:3], np.cumsum(losses[:3]) / [1, 2, 3], rtol=1e-6)
    assert list((tmp_path / "board").rglob("events.out.tfevents.*"))
    assert "Epoch 2/2" in capfd.readouterr().out


def test_the_stop_of_fastai_itself_fires_every_end(trainings):
    from fastai.callback.tracker import EarlyStoppingCallback

    recorder = Recorder()
    own = EarlyStoppingCallback("valid_loss", min_delta=9.0, patience=1)
    adapter, _ = trainings.fit([recorder], epochs=9, beside=[own])

    assert len(adapter.history.epoch) < 9
    assert recorder.stages[-3:] == ["on_epoch_end", "on_train_end", "on_teardown"]


def test_evaluations_and_the_search_for_a_rate_reach_no_callback(trainings):
    recorder = Recorder()
    adapter, learn = trainings.fit([recorder], epochs=1)
    before = len(recorder.trace)

    learn.validate()
    learn.get_preds()
    with learn.no_bar():
        learn.lr_find(num_it=20, show_plot=False, suggest_funcs=None)

    assert len(recorder.trace) == before
    assert adapter.active_run is None


def test_epochs_that_start_epoch_leaves_out_fire_nothing(trainings):
    from onstage_fastai import OnstageCallback

    recorder = Recorder()
    callback = OnstageCallback([recorder])
    learn = trainings.new_learner([callback])
    learn.fit(3, start_epoch=2)

    assert [event.number for event in recorder.trace if event.stage == "on_epoch_begin"] == [2]
    assert callback.history.epoch == [2]


def test_an_error_of_a_callback_keeps_its_message(trainings):
    class Fails(Callback):
        def on_epoch_end(self):
            raise Failure

    with pytest.raises(Failure) as caught:
        trainings.fit([Fails()])
    assert caught.value.args == ()


def test_without_a_with_statement_the_next_training_reports_the_broken_one(trainings):
    from onstage_fastai import OnstageCallback

    recorder = Recorder()
    adapter = OnstageCallback([recorder])
    with pytest.raises(Failure):
        trainings.new_learner([adapter], error=Failure()).fit(1)
    assert "on_exception" not in recorder.stages
    trainings.fit(adapter, epochs=1)

    assert recorder.stages.count("on_exception") == 1
    assert recorder.stages.count("on_teardown") == 2


def test_an_exported_learner_has_the_callback_without_its_training(trainings, tmp_path, monkeypatch):
    from fastai.learner import load_learner
    from onstage_fastai import OnstageCallback

    monkeypatch.setitem(sys.modules, "trainings", trainings)  # where pickle looks for names
    learn = trainings.new_learner([OnstageCallback([EarlyStopping(patience=9)])])
    learn.logger = print
    learn.fit(1)
    learn.export(tmp_path / "learn.pkl")

    with pytest.warns(UserWarning, match="Only load files you trust"):
        loaded = load_learner(tmp_path / "learn.pkl")

    assert loaded.onstage.active_run is None
    for weight, saved in zip(weights_of(learn), weights_of(loaded), strict=True):
        np.testing.assert_array_equal(weight, saved)
