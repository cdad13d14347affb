"""Callbacks decide in Lightning's Trainer as in fit."""

import csv
import json
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

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
    RemoteMonitor,
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


def test_early_stopping_stops_at_keras_epoch_and_restores_the_best_weights(trainings):
    # Keras: best in epoch 1, waits in 2 and 3, stops after epoch 3.
    stop = EarlyStopping("val_loss", patience=2, restore_best_weights=True)
    adapter, trainer, module = trainings.fit([Scripted(3.0, 1.0, 2.0, 2.0, 0.5), stop], epochs=5)

    assert adapter.history.epoch == [0, 1, 2, 3]
    assert (stop.stopped_epoch, stop.best_epoch) == (3, 1)
    assert adapter.history.stopped_by == "EarlyStopping"
    assert trainer.current_epoch == 4
    for weight, best in zip(module.state_dict().values(), stop.best_weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), best)


def test_reduce_lr_on_plateau_changes_the_rate_of_the_optimizer(trainings):
    reduce = ReduceLROnPlateau("val_loss", factor=0.5, patience=1)
    adapter, trainer, _ = trainings.fit([Scripted(1.0, 1.0, 1.0), reduce])

    assert adapter.history.history["learning_rate"] == [0.1, 0.1, 0.05]
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0.025


def test_a_schedule_per_batch_changes_the_rate_of_each_step(trainings):
    import lightning.pytorch as pl

    adapter, _, module = trainings.fit([LearningRateScheduler(lambda step: 0.0, on="batch")], epochs=1)

    fresh = trainings.new_module(pl)
    for weight, initial in zip(module.state_dict().values(), fresh.state_dict().values(), strict=True):
        np.testing.assert_array_equal(weight.numpy(), initial.numpy())
    assert adapter.history.history["learning_rate"] == [0.0]


@pytest.mark.parametrize(
    "callback",
    [LearningRateScheduler(lambda epoch: 0.1), ReduceLROnPlateau("val_loss")],
    ids=["scheduler", "plateau"],
)
def test_a_callback_that_sets_the_rate_is_refused_beside_a_scheduler(callback, trainings):
    import lightning.pytorch as pl
    import torch

    module = trainings.new_module(pl, scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=1))
    recorder = Recorder()

    with pytest.raises(
        TypeError,
        match=f"{type(callback).__name__} needs learning_rate, which Lightning does not offer to callbacks; "
        "StepLR sets it: leave StepLR out of configure_optimizers",
    ):
        trainings.fit([callback, recorder], module=module)
    assert recorder.stages == ["on_exception", "on_teardown"]


@pytest.mark.parametrize(
    ("callback", "own_way"),
    [
        (BackupAndRestore("backup"), "pass ckpt_path to Trainer.fit"),
        (SwapEMAWeights(), "use lightning.pytorch.callbacks.EMAWeightAveraging"),
        (ModelCheckpoint("a.ckpt", save_in_background=True), "save without save_in_background"),
    ],
)
def test_what_lightning_does_itself_is_refused_with_its_way(callback, own_way, trainings):
    with pytest.raises(TypeError, match=f"{type(callback).__name__} needs .* Lightning .*{own_way}"):
        trainings.fit([callback])


def test_model_checkpoint_writes_what_lightning_loads(trainings, tmp_path):
    import lightning.pytorch as pl

    _, _, module = trainings.fit([ModelCheckpoint(tmp_path / "{epoch}.ckpt")], epochs=2)
    trainer = trainings.new_trainer(pl, [], 3)
    trainer.fit(trainings.new_module(pl), *trainings.loaders(), ckpt_path=tmp_path / "2.ckpt")

    assert trainer.global_step == 9
    loaded = type(module).load_from_checkpoint(tmp_path / "2.ckpt", weights_only=True)
    for weight, saved in zip(module.state_dict().values(), loaded.state_dict().values(), strict=True):
        np.testing.assert_array_equal(weight.numpy(), saved.numpy())


def test_model_checkpoint_writes_weights_that_safetensors_loads(trainings, tmp_path):
    from safetensors.numpy import load_file

    _, _, module = trainings.fit([ModelCheckpoint(tmp_path / "w", save_weights_only=True)], epochs=1)

    saved = load_file(tmp_path / "w.safetensors")
    assert set(saved) == {"layer.weight", "layer.bias"}
    np.testing.assert_array_equal(saved["layer.bias"], module.layer.bias.detach().numpy())


class Gradients(Callback):
    def __init__(self):
        self.seen = []

    def on_optimizer_step_begin(self, batch, gradients):
        self.seen.append((batch, [tuple(gradient.shape) for gradient in gradients]))
        for gradient in gradients:
            gradient.zero_()


def test_gradients_may_be_changed_before_the_step(trainings):
    import lightning.pytorch as pl

    gradients = Gradients()
    _, _, module = trainings.fit([gradients], epochs=1)

    assert gradients.seen == [(batch, [(2, 4), (2,)]) for batch in range(3)]
    fresh = trainings.new_module(pl).state_dict()
    np.testing.assert_array_equal(module.layer.weight.detach().numpy(), fresh["layer.weight"].numpy())


def test_loggers_work_beside_those_of_lightning(trainings, tmp_path, capfd):
    from onstage_lightning import OnstageCallback

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
        callbacks = OnstageCallback([CSVLogger("log.csv"), TensorBoard("board"), monitor], verbose=2)
        adapter, _, _ = trainings.fit(callbacks, epochs=2, enable_progress_bar=True)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [float(row["val_loss"]) for row in rows] == adapter.history.history["val_loss"]
    assert [float(row["accuracy"]) for row in rows] == adapter.history.history["accuracy"]
    assert list((tmp_path / "board").rglob("events.out.tfevents.*"))
    assert received
    assert "Epoch 2/2" in capfd.readouterr().out


def test_the_stop_of_lightning_itself_fires_every_end(trainings):
    import lightning.pytorch as pl

    recorder = Recorder()
    own = pl.callbacks.EarlyStopping("val_loss", patience=1, min_delta=9.0)
    adapter, _, _ = trainings.fit([recorder], epochs=9, beside=[own])

    assert adapter.history.epoch == [0, 1]
    assert recorder.stages[-3:] == ["on_epoch_end", "on_train_end", "on_teardown"]


def test_an_evaluation_outside_the_training_reaches_no_callback(trainings):
    recorder = Recorder()
    _, trainer, module = trainings.fit([recorder], epochs=1)
    before = len(recorder.trace)

    trainer.validate(module, trainings.loaders()[1], verbose=False)

    assert len(recorder.trace) == before
