"""Callbacks decide in Ignite's engine as in fit."""

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
)
from onstage.testing import Recorder

Events = pytest.importorskip("ignite.engine").Events


class Scripted(Callback):
    """Replaces the loss of the validation."""

    adds_logs = ("val_loss",)
    before = ("early_stopping", "reduce_lr_on_plateau")

    def __init__(self, *values):
        self.values = values

    def on_epoch_end(self, epoch, logs):
        logs["val_loss"] = self.values[epoch]


def weights_of(training):
    return [weight.numpy() for weight in training.module.state_dict().values()]


def test_early_stopping_stops_at_keras_epoch_and_restores_the_best_weights(trainings):
    # Keras: best in epoch 1, waits in 2 and 3, stops after epoch 3.
    stop = EarlyStopping("val_loss", patience=2, restore_best_weights=True)
    handler, training = trainings.fit([Scripted(3.0, 1.0, 2.0, 2.0, 0.5), stop], epochs=5)

    assert handler.history.epoch == [0, 1, 2, 3]
    assert (stop.stopped_epoch, stop.best_epoch) == (3, 1)
    assert handler.history.stopped_by == "EarlyStopping"
    assert training.trainer.state.epoch == 4
    for weight, best in zip(weights_of(training), stop.best_weights, strict=True):
        np.testing.assert_array_equal(weight, best)


def test_reduce_lr_on_plateau_changes_the_rate_of_the_optimizer(trainings):
    reduce = ReduceLROnPlateau("val_loss", factor=0.5, patience=1)
    handler, training = trainings.fit([Scripted(1.0, 1.0, 1.0), reduce])

    assert handler.history.history["learning_rate"] == [0.1, 0.1, 0.05]
    assert training.optimizer.param_groups[0]["lr"] == 0.025


def test_a_schedule_per_batch_changes_the_rate_of_each_step(trainings):
    handler, training = trainings.fit([LearningRateScheduler(lambda step: 0.0, on="batch")], epochs=1)

    for weight, initial in zip(weights_of(training), weights_of(trainings.Training()), strict=True):
        np.testing.assert_array_equal(weight, initial)
    assert handler.history.history["learning_rate"] == [0.0]


def ignite_scheduler(training):
    from ignite.handlers import CosineAnnealingScheduler

    scheduler = CosineAnnealingScheduler(training.optimizer, "lr", 0.1, 0.01, cycle_size=9)
    training.trainer.add_event_handler(Events.ITERATION_STARTED, scheduler)
    return "CosineAnnealingScheduler"


def filtered_scheduler(training):
    from ignite.handlers import LinearCyclicalScheduler

    training.scheduler = LinearCyclicalScheduler(training.optimizer, "lr", 0.1, 0.01, cycle_size=8)
    training.trainer.add_event_handler(Events.ITERATION_STARTED(every=2), training.scheduler)
    return "LinearCyclicalScheduler"


def torch_scheduler(training):
    from torch.optim.lr_scheduler import StepLR

    scheduler = StepLR(training.optimizer, 1)
    training.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: scheduler.step())
    return "the scheduler"


@pytest.mark.parametrize("add", [ignite_scheduler, filtered_scheduler, torch_scheduler])
@pytest.mark.parametrize(
    "callback",
    [LearningRateScheduler(lambda epoch: 0.1), ReduceLROnPlateau("val_loss")],
    ids=["scheduler", "plateau"],
)
def test_a_callback_that_sets_the_rate_is_refused_beside_a_scheduler(callback, add, trainings):
    training, recorder = trainings.Training(), Recorder()
    training.attach([callback, recorder])
    name = add(training)

    with pytest.raises(
        TypeError,
        match=f"{type(callback).__name__} needs learning_rate, which Ignite does not offer to callbacks; "
        f"{name} sets it: leave {name} out",
    ):
        training.run()
    assert recorder.stages == ["on_exception", "on_teardown"]
    assert training.trainer.state.iteration == 0


def test_a_scheduler_of_the_momentum_leaves_the_rate_to_callbacks(trainings):
    from ignite.handlers import CosineAnnealingScheduler

    training = trainings.Training(momentum=0.5)
    momentum = CosineAnnealingScheduler(training.optimizer, "momentum", 0.5, 0.1, cycle_size=9)
    training.trainer.add_event_handler(Events.ITERATION_STARTED, momentum)

    handler, _ = trainings.fit([LearningRateScheduler(lambda epoch: 0.25)], epochs=1, training=training)

    assert handler.history.history["learning_rate"] == [0.25]


@pytest.mark.parametrize(
    ("callback", "own_way"),
    [
        (BackupAndRestore("backup"), "add the handler to the objects that .*Checkpoint"),
        (SwapEMAWeights(), "use ignite.handlers.EMAHandler"),
        (ModelCheckpoint("a.pt", save_in_background=True), "save without save_in_background"),
    ],
)
def test_what_ignite_does_itself_is_refused_with_its_way(callback, own_way, trainings):
    with pytest.raises(TypeError, match=f"{type(callback).__name__} needs .* Ignite .*{own_way}"):
        trainings.fit([callback])


@pytest.mark.parametrize(
    ("callback", "part"),
    [
        (EarlyStopping(restore_best_weights=True), "model"),
        (ModelCheckpoint("a.pt"), "model"),
        (LearningRateScheduler(lambda epoch: 0.1), "optimizer"),
    ],
)
def test_what_was_not_attached_is_asked_for(callback, part, trainings):
    with pytest.raises(TypeError, match=f"{type(callback).__name__} needs .* pass {part} to attach"):
        trainings.fit([callback], **{part: None})


def test_without_model_and_optimizer_callbacks_still_log_and_stop(trainings):
    stop = EarlyStopping("val_loss", patience=0, min_delta=9.0)
    handler, _ = trainings.fit([CSVLogger("log.csv"), stop], model=None, optimizer=None)

    assert handler.history.epoch == [0, 1]


def test_model_checkpoint_writes_what_ignite_loads(trainings, tmp_path):
    from ignite.handlers import Checkpoint

    _, first = trainings.fit([ModelCheckpoint(tmp_path / "{epoch}.pt")], epochs=2)
    again = trainings.Training()
    handler = again.attach([])
    parts = {
        "model": again.module,
        "optimizer": again.optimizer,
        "trainer": again.trainer,
        "onstage": handler,
    }
    Checkpoint.load_objects(parts, tmp_path / "2.pt")

    for weight, saved in zip(weights_of(first), weights_of(again), strict=True):
        np.testing.assert_array_equal(weight, saved)
    assert again.trainer.state.epoch == 2


def test_model_checkpoint_writes_weights_that_safetensors_loads(trainings, tmp_path):
    from safetensors.numpy import load_file

    _, training = trainings.fit([ModelCheckpoint(tmp_path / "w", save_weights_only=True)], epochs=1)

    saved = load_file(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(saved["bias"], training.module.bias.detach().numpy())


def test_gradients_are_those_of_the_step(trainings):
    class Gradients(Callback):
        def __init__(self):
            self.shapes = []

        def on_optimizer_step_begin(self, batch, gradients):
            self.shapes.append((batch, [tuple(each.shape) for each in gradients]))

    callback = Gradients()
    trainings.fit([callback], epochs=1)

    assert callback.shapes == [(batch, [(2, 4), (2,)]) for batch in range(3)]


def test_loggers_write_the_metrics_of_ignite(trainings, tmp_path, capfd):
    from onstage_ignite import OnstageHandler

    callbacks = OnstageHandler([CSVLogger("log.csv"), TensorBoard("board")], verbose=2)
    handler, training = trainings.fit(callbacks, epochs=2)

    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [float(row["val_loss"]) for row in rows] == handler.history.history["val_loss"]
    assert float(rows[-1]["val_accuracy"]) == training.evaluator.state.metrics["accuracy"]
    assert list((tmp_path / "board").rglob("events.out.tfevents.*"))
    assert "Epoch 2/2" in capfd.readouterr().out


@pytest.mark.parametrize("options", [{}, {"skip_completed": True}])
def test_the_stop_of_ignite_itself_fires_every_end(options, trainings):
    training, recorder = trainings.Training(), Recorder()
    handler = training.attach([recorder])
    training.trainer.add_event_handler(Events.ITERATION_COMPLETED, stop_at(5, options))
    training.run(epochs=9)

    assert handler.history.epoch == [0, 1]
    assert recorder.stages[-3:] == ["on_epoch_end", "on_train_end", "on_teardown"]


def stop_at(iteration, options):
    def stop(engine):
        if engine.state.iteration == iteration:
            engine.terminate(**options)

    return stop


def test_another_training_after_a_stop_continues_the_epochs_of_ignite(trainings):
    training, recorder = trainings.Training(), Recorder()
    handler = training.attach([recorder, EarlyStopping("val_loss", min_delta=9.0, patience=1)])
    training.run(epochs=4)
    training.run(epochs=4)

    begun = [event.number for event in recorder.trace if event.stage == "on_epoch_begin"]
    assert begun == [0, 1, 2, 3]
    assert handler.history.epoch == [2, 3]
    assert recorder.stages.count("on_teardown") == 2


def test_an_evaluation_outside_an_epoch_reaches_no_callback(trainings):
    training, recorder = trainings.Training(), Recorder()
    training.attach([recorder])
    training.trainer.add_event_handler(Events.STARTED, lambda: training.evaluator.run(training.test_data))
    training.run(epochs=1)
    training.evaluator.run(training.test_data)

    assert recorder.stages.count("on_test_begin") == 1


def test_a_validation_added_after_the_handler_belongs_to_its_epoch(trainings):
    training = trainings.Training()
    handler = training.attach([])
    seen = []
    training.trainer.add_event_handler(
        Events.EPOCH_COMPLETED, lambda: training.evaluator.run(training.test_data)
    )
    training.trainer.add_event_handler(
        Events.EPOCH_COMPLETED, lambda: seen.append(training.evaluator.state.metrics["loss"])
    )
    training.run(epochs=2)

    assert handler.history.history["val_loss"] == seen


class Failure(Exception):
    pass


@pytest.mark.parametrize("before", [True, False])
def test_a_handler_of_errors_decides_whether_they_are_raised(before, trainings):
    training, recorder, swallowed = trainings.Training(error=Failure()), Recorder(), []
    if before:
        training.trainer.add_event_handler(Events.EXCEPTION_RAISED, lambda _, error: swallowed.append(error))
    training.attach([recorder])
    if not before:
        training.trainer.add_event_handler(Events.EXCEPTION_RAISED, lambda _, error: swallowed.append(error))
    training.run(epochs=1)

    assert swallowed == [training.error]
    assert [
        stage for stage in recorder.stages if stage in ("on_exception", "on_teardown", "on_train_end")
    ] == [
        "on_exception",
        "on_teardown",
    ]


def test_a_handler_of_errors_that_raises_first_leaves_no_callback_open(trainings):
    def raise_it(_, error):
        raise error

    training, recorder = trainings.Training(error=Failure()), Recorder()
    training.trainer.add_event_handler(Events.EXCEPTION_RAISED, raise_it)
    training.attach([recorder])

    with pytest.raises(Failure):
        training.run()
    assert recorder.stages[-2:] == ["on_exception", "on_teardown"]


def test_two_handlers_both_learn_of_an_error(trainings):
    training, one, other = trainings.Training(error=Failure()), Recorder(), Recorder()
    training.attach([one])
    training.attach([other])

    with pytest.raises(Failure):
        training.run()
    assert one.stages[-2:] == other.stages[-2:] == ["on_exception", "on_teardown"]


def test_a_second_attachment_to_the_same_trainer_is_refused(trainings):
    training = trainings.Training()
    handler = training.attach([])

    with pytest.raises(ValueError, match="trainer must be one that the handler is not attached to"):
        training.attach(handler)
