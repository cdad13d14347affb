"""Every built-in callback takes the calls that Keras makes, in a subclass and by hand."""

import inspect

import numpy as np
import pytest
from onstage_backup_and_restore import BackupAndRestore
from onstage_csv_logger import CSVLogger
from onstage_early_stopping import EarlyStopping
from onstage_learning_rate_scheduler import LearningRateScheduler
from onstage_model_checkpoint import ModelCheckpoint
from onstage_reduce_lr_on_plateau import ReduceLROnPlateau
from onstage_swap_ema_weights import SwapEMAWeights
from onstage_tensorboard import TensorBoard
from onstage_terminate_on_nan import TerminateOnNaN

from onstage import Callback, History
from onstage.hookspecs import KERAS_STAGES
from onstage.registry import _discovery
from onstage.testing import FakeModel, replay

CLASSES = [Callback, History, *(plugin.load() for plugin in _discovery.installed())]
LOGS = [{"loss": 0.9, "val_loss": 1.0}, {"loss": 0.5, "val_loss": 1.5}, {"loss": 0.4, "val_loss": 1.6}]


@pytest.mark.parametrize("stage", KERAS_STAGES)
@pytest.mark.parametrize("kind", CLASSES)
def test_every_stage_takes_the_calls_of_keras(kind, stage):
    signature = inspect.signature(getattr(kind, stage))
    number = [0] if "batch" in stage or "epoch" in stage else []

    signature.bind(None, *number)
    signature.bind(None, *number, {})
    signature.bind(None, *number, logs={})


def forwarding(kind):
    """Return a subclass that overrides every stage of a class in Keras's way, and counts the calls."""

    def override(stage):
        if "epoch" in stage:

            def method(self, epoch, logs=None):
                self.calls.append(stage)
                getattr(super(made, self), stage)(epoch, logs)

        elif "batch" in stage:

            def method(self, batch, logs=None):
                self.calls.append(stage)
                getattr(super(made, self), stage)(batch, logs=logs)

        else:

            def method(self, logs=None):
                self.calls.append(stage)
                getattr(super(made, self), stage)(logs)

        return method

    stages = [stage for stage in KERAS_STAGES if stage not in ("on_batch_begin", "on_batch_end")]
    made = type(kind.__name__, (kind,), {stage: override(stage) for stage in stages} | {"calls": []})
    return made


MAKERS = {
    BackupAndRestore: lambda kind, folder: kind(folder / "backup"),
    CSVLogger: lambda kind, folder: kind(folder / "log.csv"),
    EarlyStopping: lambda kind, folder: kind(patience=1, restore_best_weights=True),
    History: lambda kind, folder: kind(),
    LearningRateScheduler: lambda kind, folder: kind(lambda epoch, rate: rate / 2),
    ModelCheckpoint: lambda kind, folder: kind(folder / "{epoch}.safetensors"),
    ReduceLROnPlateau: lambda kind, folder: kind(patience=1),
    SwapEMAWeights: lambda kind, folder: kind(swap_on_epoch=True),
    TensorBoard: lambda kind, folder: kind(folder / "logs"),
    TerminateOnNaN: lambda kind, folder: kind(),
}


def plain(state):
    if isinstance(state, dict):
        return {name: plain(value) for name, value in state.items() if name != "event_log"}
    if isinstance(state, list):
        return [plain(value) for value in state]
    return state.tolist() if isinstance(state, np.ndarray) else state


@pytest.mark.parametrize("kind", MAKERS)
def test_a_subclass_that_forwards_every_stage_works_as_its_base(kind, tmp_path):
    make = MAKERS[kind]
    below = make(forwarding(kind), tmp_path / "below")
    base = make(kind, tmp_path / "base")

    results = [replay(each, LOGS, model=FakeModel(1.0, use_ema=True), batches=2) for each in (below, base)]

    assert results[0].history.history == results[1].history.history
    assert results[0].stop_reason == results[1].stop_reason
    assert plain(below.state_dict()) == plain(base.state_dict())
    # Options that leave a stage out do not apply to a subclass that overrides it.
    assert below.calls.count("on_train_batch_end") == 2 * len(results[0].history.epoch)


@pytest.mark.parametrize("kind", [EarlyStopping, ModelCheckpoint, ReduceLROnPlateau])
def test_a_monitor_that_is_set_after_construction_is_the_one_that_is_watched(kind, tmp_path):
    make = {
        **MAKERS,
        ModelCheckpoint: lambda kind, folder: kind(folder / "best.safetensors", save_best_only=True),
    }[kind]
    callback = make(kind, tmp_path)
    callback.monitor, callback.mode = "score", "max"

    replay(callback, [{"score": 1.0}, {"score": 2.0}, {"score": 1.5}], model=FakeModel(1.0))

    assert callback.best == 2.0
    assert callback.monitor_op is np.greater
