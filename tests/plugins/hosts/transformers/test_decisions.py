"""Callbacks decide in the Trainer as in fit."""

import csv
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import numpy as np
import pytest

from onstage import Callback
from onstage.callbacks import (
    BackupAndRestore,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ProgbarLogger,
    ReduceLROnPlateau,
    RemoteMonitor,
    SwapEMAWeights,
    TensorBoard,
    TerminateOnNaN,
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


def weights_of(module):
    return [weight.detach().numpy().copy() for weight in module.state_dict().values()]


def test_early_stopping_stops_at_keras_epoch_and_restores_the_best_weights(trainings):
    # Keras: best in epoch 1, waits in 2 and 3, stops after epoch 3.
    stop = EarlyStopping("val_loss", patience=2, restore_best_weights=True)
    adapter, trainer = trainings.fit([Scripted(3.0, 1.0, 2.0, 2.0, 0.5), stop], epochs=5)

    assert adapter.history.epoch == [0, 1, 2, 3]
    assert (stop.stopped_epoch, stop.best_epoch) == (3, 1)
    assert adapter.history.stopped_by == "EarlyStopping"
    assert trainer.state.global_step == 12
    for weight, best in zip(weights_of(trainer.model), stop.best_weights, strict=True):
        np.testing.assert_array_equal(weight, best)


def test_it_stops_at_the_epoch_of_the_trainers_own_early_stopping(trainings):
    from transformers import EarlyStoppingCallback

    # No epoch improves by 9: the first one is the best.
    own = EarlyStoppingCallback(early_stopping_patience=2, early_stopping_threshold=9.0)
    _, theirs = trainings.fit([], epochs=9, beside=[own], metric_for_best_model="loss")
    adapter, ours = trainings.fit([EarlyStopping("val_loss", patience=2, min_delta=9.0)], epochs=9)

    assert ours.state.global_step == theirs.state.global_step == 9
    assert adapter.history.epoch == [0, 1, 2]


def test_reduce_lr_on_plateau_changes_the_rate_of_the_optimizer(trainings):
    reduce = ReduceLROnPlateau("val_loss", factor=0.5, patience=1)
    adapter, trainer = trainings.fit([Scripted(1.0, 1.0, 1.0, 1.0), reduce], epochs=4)

    assert adapter.history.history["learning_rate"] == [0.1, 0.1, 0.05, 0.025]
    assert trainer.optimizer.param_groups[0]["lr"] == 0.0125
    # What the Trainer itself saw: the rate holds over the steps of its constant schedule.
    seen = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
    assert seen == [0.1, 0.1, 0.05, 0.025]


def test_a_rate_is_kept_beside_the_trainers_own_reduce_on_plateau(trainings):
    adapter, _ = trainings.fit(
        [LearningRateScheduler(lambda epoch: 0.5)],
        epochs=2,
        lr_scheduler_type="reduce_lr_on_plateau",
        metric_for_best_model="loss",
    )

    assert adapter.history.history["learning_rate"] == [0.5, 0.5]


def test_a_schedule_per_batch_changes_the_rate_of_each_step(trainings):
    adapter, trainer = trainings.fit([LearningRateScheduler(lambda step: 0.0, on="batch")], epochs=1)

    for weight, initial in zip(weights_of(trainer.model), weights_of(trainings.Classifier()), strict=True):
        np.testing.assert_array_equal(weight, initial)
    assert adapter.history.history["learning_rate"] == [0.0]


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant_with_warmup"])
@pytest.mark.parametrize("kind", [ReduceLROnPlateau, LearningRateScheduler])
def test_a_callback_that_sets_the_rate_is_refused_beside_a_schedule(kind, schedule, trainings):
    callback = kind("val_loss") if kind is ReduceLROnPlateau else kind(lambda epoch: 0.1)
    recorder = Recorder()

    with pytest.raises(
        TypeError,
        match=f"{kind.__name__} needs learning_rate, which transformers does not offer to callbacks; "
        "LambdaLR sets it: pass lr_scheduler_type='constant' to TrainingArguments",
    ):
        trainings.fit([callback, recorder], lr_scheduler_type=schedule, warmup_steps=2)
    assert recorder.stages == ["on_exception", "on_teardown"]


@pytest.mark.parametrize(
    ("callback", "own_way"),
    [
        (BackupAndRestore("backup"), "pass resume_from_checkpoint to train"),
        (SwapEMAWeights(), "leave the callback out"),
        (ModelCheckpoint("a.safetensors", save_in_background=True), "save without save_in_background"),
    ],
)
def test_what_the_trainer_does_itself_is_refused_with_its_way(callback, own_way, trainings):
    with pytest.raises(TypeError, match=f"{type(callback).__name__} needs .* transformers .*{own_way}"):
        trainings.fit([callback])


@pytest.mark.parametrize("weights_only", [False, True])
def test_model_checkpoint_writes_what_from_pretrained_loads(weights_only, trainings, tmp_path):
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=8,
        num_labels=2,
    )
    model = BertForSequenceClassification(config)
    texts = [{"input_ids": [1, 2, 3 + n % 4], "labels": n % 2} for n in range(12)]
    save = ModelCheckpoint(tmp_path / "best/model.safetensors", save_weights_only=weights_only)
    recorder = Recorder()
    adapter, trainer = trainings.fit([save, recorder], epochs=1, model=model, train=texts, evaluation=texts)
    config.save_pretrained(tmp_path / "best")

    loaded = BertForSequenceClassification.from_pretrained(tmp_path / "best")
    for weight, saved in zip(weights_of(trainer.model), weights_of(loaded), strict=True):
        np.testing.assert_array_equal(weight, saved)
    assert adapter.history.history["loss"] == [trainer.state.log_history[0]["loss"]]
    assert recorder.stages.count("on_test_batch_end") == 1


def test_a_suffix_of_another_format_is_refused_before_training(trainings):
    recorder = Recorder()

    with pytest.raises(ValueError, match=r"\.pt"):
        trainings.fit([ModelCheckpoint("model.pt"), recorder])
    assert "on_epoch_begin" not in recorder.stages


class Gradients(Callback):
    def __init__(self):
        self.seen = []

    def on_optimizer_step_begin(self, batch, gradients):
        self.seen.append((batch, [tuple(gradient.shape) for gradient in gradients]))
        for gradient in gradients:
            gradient.zero_()


def test_gradients_may_be_changed_before_the_step(trainings):
    gradients = Gradients()
    _, trainer = trainings.fit([gradients], epochs=1)

    assert gradients.seen == [(batch, [(2, 4), (2,)]) for batch in range(3)]
    for weight, initial in zip(weights_of(trainer.model), weights_of(trainings.Classifier()), strict=True):
        np.testing.assert_array_equal(weight, initial)


def test_loggers_work_beside_those_of_the_trainer(trainings, tmp_path, capfd):
    from onstage_transformers import OnstageCallback

    received = []

    class Receives(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Receives)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        monitor = RemoteMonitor(f"http://127.0.0.1:{server.server_port}", send_as_json=True)
        callbacks = OnstageCallback(
            [CSVLogger("log.csv"), TensorBoard("board"), monitor, TerminateOnNaN(), LambdaCallback()],
            verbose=2,
        )
        adapter, _ = trainings.fit(callbacks, epochs=2, disable_tqdm=False)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [float(row["val_loss"]) for row in rows] == adapter.history.history["val_loss"]
    assert [float(row["val_accuracy"]) for row in rows] == adapter.history.history["val_accuracy"]
    assert list((tmp_path / "board").rglob("events.out.tfevents.*"))
    assert received
    assert "Epoch 2/2" in capfd.readouterr().out


def test_the_progress_bar_shows_the_epoch_and_its_batches(trainings, capfd):
    from onstage_transformers import OnstageCallback

    trainings.fit(OnstageCallback([ProgbarLogger()], verbose=1), epochs=1)

    out = capfd.readouterr().out
    assert "Epoch 1/1 0/3 " in out
    assert "Epoch 1/1  loss=" in out


def test_a_loss_that_is_not_a_number_ends_the_training(trainings):
    adapter, trainer = trainings.fit([TerminateOnNaN()], epochs=3, learning_rate=float("nan"))

    assert adapter.history.stopped_by == "TerminateOnNaN"
    assert trainer.state.global_step == 2
    assert adapter.history.epoch == [0]


def test_the_stop_of_another_callback_of_the_trainer_fires_every_end(trainings):
    from transformers import TrainerCallback

    class Stops(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            control.should_training_stop = state.global_step == 4

    recorder = Recorder()
    adapter, _ = trainings.fit([recorder], epochs=9, beside=[Stops()])

    assert adapter.history.epoch == [0, 1]
    assert recorder.stages[-3:] == ["on_epoch_end", "on_train_end", "on_teardown"]


def test_an_evaluation_or_prediction_outside_the_training_reaches_no_callback(trainings):
    recorder = Recorder()
    adapter, trainer = trainings.fit([recorder], epochs=1)
    before = len(recorder.trace)

    with adapter:
        trainer.evaluate()
        trainer.predict(trainings.Samples())

    assert len(recorder.trace) == before
    assert not trainer.model._forward_hooks
    assert not trainer.model._forward_pre_hooks


def test_restoring_by_the_trainer_is_refused(trainings):
    with pytest.raises(ValueError, match="restore_callback_states_from_checkpoint must be False"):
        trainings.fit([], restore_callback_states_from_checkpoint=True)
