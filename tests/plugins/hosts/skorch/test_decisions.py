"""Callbacks decide in a net of skorch as in fit."""

import csv
import pickle
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


def weights_of(net):
    return [weight.numpy() for weight in net.module_.state_dict().values()]


def test_early_stopping_stops_at_keras_epoch_and_restores_the_best_weights(trainings):
    # Keras: best in epoch 1, waits in 2 and 3, stops after epoch 3.
    stop = EarlyStopping("val_loss", patience=2, restore_best_weights=True)
    adapter, net = trainings.fit([Scripted(3.0, 1.0, 2.0, 2.0, 0.5), stop], epochs=5)

    assert adapter.history.epoch == [0, 1, 2, 3]
    assert (stop.stopped_epoch, stop.best_epoch) == (3, 1)
    assert adapter.history.stopped_by == "EarlyStopping"
    assert len(net.history) == 4
    for weight, best in zip(weights_of(net), stop.best_weights, strict=True):
        np.testing.assert_array_equal(weight, best)


def test_a_stop_within_an_epoch_leaves_a_history_with_scores(trainings):
    class Stop(Callback):
        def on_train_batch_end(self, batch):
            if (self.run.epoch, batch) == (1, 0):
                self.stop("enough")

    adapter, net = trainings.fit([Stop()], epochs=5)

    assert net.history[:, "train_batch_count"] == [3, 1]
    assert net.history[:, "valid_acc"] == adapter.history.history["val_accuracy"]


def test_reduce_lr_on_plateau_changes_the_rate_of_the_optimizer(trainings):
    reduce = ReduceLROnPlateau("val_loss", factor=0.5, patience=1)
    adapter, net = trainings.fit([Scripted(1.0, 1.0, 1.0), reduce])

    assert adapter.history.history["learning_rate"] == [0.1, 0.1, 0.05]
    assert net.optimizer_.param_groups[0]["lr"] == 0.025


def test_a_schedule_per_batch_changes_the_rate_of_each_step(trainings):
    adapter, net = trainings.fit([LearningRateScheduler(lambda step: 0.0, on="batch")], epochs=1)

    for weight, initial in zip(weights_of(net), trainings.Module().state_dict().values(), strict=True):
        np.testing.assert_array_equal(weight, initial.numpy())
    assert adapter.history.history["learning_rate"] == [0.0]


@pytest.mark.parametrize(
    "callback",
    [LearningRateScheduler(lambda epoch: 0.1), ReduceLROnPlateau("val_loss")],
    ids=["scheduler", "plateau"],
)
def test_a_callback_that_sets_the_rate_is_refused_beside_a_scheduler(callback, trainings):
    from skorch.callbacks import LRScheduler

    recorder = Recorder()

    with pytest.raises(
        TypeError,
        match=f"{type(callback).__name__} needs learning_rate, which skorch does not offer to callbacks; "
        "LRScheduler sets it: leave LRScheduler out",
    ):
        trainings.fit([callback, recorder], beside=[("scheduler", LRScheduler("StepLR", step_size=1))])
    assert recorder.stages == ["on_exception", "on_teardown"]


@pytest.mark.parametrize(
    ("callback", "own_way"),
    [
        (BackupAndRestore("backup"), "use skorch.callbacks.Checkpoint with f_onstage"),
        (SwapEMAWeights(), "average the weights with torch.optim.swa_utils.AveragedModel"),
        (ModelCheckpoint("a.pt", save_in_background=True), "save without save_in_background"),
    ],
)
def test_what_skorch_does_itself_is_refused_with_its_way(callback, own_way, trainings):
    with pytest.raises(TypeError, match=f"{type(callback).__name__} needs .* skorch .*{own_way}"):
        trainings.fit([callback])


@pytest.mark.parametrize("safetensors", [False, True])
def test_model_checkpoint_writes_what_the_net_loads(safetensors, trainings, tmp_path):
    path = tmp_path / ("w.safetensors" if safetensors else "w.pt")
    _, net = trainings.fit([ModelCheckpoint(path, save_weights_only=safetensors)], epochs=2)
    other = trainings.new_net([]).initialize()

    other.load_params(f_params=path, use_safetensors=safetensors)

    for weight, saved in zip(weights_of(net), weights_of(other), strict=True):
        np.testing.assert_array_equal(weight, saved)


def test_gradients_are_those_of_the_step(trainings):
    class Gradients(Callback):
        def __init__(self):
            self.seen = []

        def on_optimizer_step_begin(self, batch, gradients):
            self.seen.append((batch, [each.clone() for each in gradients]))

    callback = Gradients()
    _, net = trainings.fit([callback], epochs=1)

    assert [batch for batch, _ in callback.seen] == [0, 1, 2]
    # Plain SGD: the weights are the initial ones minus the sum of the steps.
    for n, (weight, initial) in enumerate(
        zip(weights_of(net), trainings.Module().state_dict().values(), strict=True)
    ):
        steps = sum(gradients[n] for _, gradients in callback.seen)
        np.testing.assert_allclose(weight, (initial - 0.1 * steps).numpy(), rtol=1e-5, atol=1e-6)


def test_loggers_write_the_scores_of_the_net(trainings, tmp_path, capfd):
    from onstage_skorch import OnstageCallback

    callbacks = OnstageCallback([CSVLogger("log.csv"), TensorBoard("board")], verbose=2)
    adapter, net = trainings.fit(callbacks, epochs=2)

    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    for name, own in (("loss", "train_loss"), ("val_loss", "valid_loss"), ("val_accuracy", "valid_acc")):
        np.testing.assert_allclose([float(row[name]) for row in rows], net.history[:, own])
    assert set(adapter.history.history) == {"loss", "val_loss", "val_accuracy"}
    assert list((tmp_path / "board").rglob("events.out.tfevents.*"))
    assert "Epoch 2/2" in capfd.readouterr().out


def test_scores_are_of_the_training_or_the_validation_as_the_scoring_says(trainings):
    from onstage_skorch import OnstageCallback
    from skorch.callbacks import BatchScoring, EpochScoring

    adapter, recorder = None, Recorder()
    adapter = OnstageCallback([recorder])
    net = trainings.new_net(
        [
            ("f1", EpochScoring("f1", lower_is_better=False)),
            ("seen", EpochScoring("accuracy", name="seen", on_train=True)),
            ("batch", BatchScoring("accuracy", name="train_acc", on_train=True)),
            ("onstage", adapter),
        ],
        epochs=1,
    )
    with adapter:
        net.fit(trainings.X, trainings.Y)

    names = {"loss", "seen", "accuracy", "val_loss", "val_accuracy", "val_f1"}
    assert set(adapter.history.history) == names
    batch = next(
        logs
        for event, logs in zip(recorder.trace, recorder.logs, strict=True)
        if event.stage == "on_train_batch_end"
    )
    assert set(batch) == {"loss", "accuracy"}


def test_a_net_without_validation_has_no_test_stages(trainings):
    recorder = Recorder()
    adapter, _ = trainings.fit([recorder], epochs=1, train_split=None)

    assert "on_test_begin" not in recorder.stages
    assert set(adapter.history.history) == {"loss"}


def test_the_stop_of_skorch_itself_fires_every_end(trainings):
    from skorch.callbacks import EarlyStopping as Own

    recorder = Recorder()
    adapter, _ = trainings.fit(
        [recorder], epochs=9, beside=[("stop", Own(patience=1, threshold=9.0, threshold_mode="abs"))]
    )

    assert adapter.history.epoch == list(range(len(adapter.history.epoch)))
    assert len(adapter.history.epoch) < 9
    assert recorder.stages[-3:] == ["on_epoch_end", "on_train_end", "on_teardown"]


def test_partial_fit_continues_the_epochs_of_the_history(trainings):
    recorder = Recorder()
    adapter, net = trainings.fit([recorder], epochs=2)
    net.partial_fit(trainings.X, trainings.Y)

    begun = [event.number for event in recorder.trace if event.stage == "on_epoch_begin"]
    assert begun == [0, 1, 2, 3]
    assert recorder.params["epochs"] == 4
    assert adapter.history.epoch == [2, 3]


def test_predictions_reach_no_callback(trainings):
    recorder = Recorder()
    _, net = trainings.fit([recorder], epochs=1)
    before = len(recorder.trace)

    net.predict(trainings.X)

    assert len(recorder.trace) == before


def test_without_a_with_statement_the_next_training_reports_the_broken_one(trainings):
    from onstage_skorch import OnstageCallback

    recorder = Recorder()
    adapter = OnstageCallback([recorder])
    with pytest.raises(Failure):
        trainings.new_net([adapter], error=Failure()).fit(trainings.X, trainings.Y)
    assert "on_exception" not in recorder.stages
    trainings.fit(adapter, epochs=1)

    assert recorder.stages.count("on_exception") == 1
    assert recorder.stages.count("on_teardown") == 2


def test_a_search_clones_the_net_and_sets_the_callbacks(trainings):
    from onstage_skorch import OnstageCallback
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV

    net = trainings.new_net(
        [("onstage", OnstageCallback([EarlyStopping(patience=9)]))], epochs=2, train_split=None
    )
    again = clone(net)
    assert again.callbacks[0][1] is not net.callbacks[0][1]
    assert again.callbacks[0][1].callbacks[0].patience == 9

    stop = EarlyStopping("loss", patience=0, min_delta=9.0)
    search = GridSearchCV(net, {"callbacks__onstage__callbacks": [[stop], []]}, cv=2, scoring="accuracy")
    search.fit(trainings.X, trainings.Y)

    assert "mean_test_score" in search.cv_results_
    for chosen, epochs in (([stop], 2), ([], 4)):
        trained = clone(net).set_params(max_epochs=4, callbacks__onstage__callbacks=chosen)
        trained.fit(trainings.X, trainings.Y)
        assert len(trained.history) == epochs


def test_a_net_is_pickled_during_and_after_the_training(trainings, tmp_path, monkeypatch):
    from skorch.callbacks import Checkpoint

    monkeypatch.setitem(sys.modules, "trainings", trainings)  # where pickle looks for the module's class
    save = Checkpoint(dirname=tmp_path, monitor=None, f_params=None, f_optimizer=None, f_history=None)
    save.f_criterion, save.f_pickle = None, "net.pkl"
    adapter, net = trainings.fit([EarlyStopping(patience=9), Recorder()], beside=[("save", save)])

    for again in (pickle.loads(pickle.dumps(net)), pickle.loads((tmp_path / "net.pkl").read_bytes())):
        np.testing.assert_array_equal(again.predict(trainings.X), net.predict(trainings.X))
        again.partial_fit(trainings.X, trainings.Y)
        assert len(again.history) == 6
    assert adapter.history.epoch == [0, 1, 2]
