import os
import sys

import numpy as np
import pytest
from onstage_backup_and_restore import BackupAndRestore
from onstage_csv_logger import CSVLogger
from onstage_early_stopping import EarlyStopping
from onstage_learning_rate_scheduler import LearningRateScheduler
from onstage_model_checkpoint import ModelCheckpoint
from onstage_reduce_lr_on_plateau import ReduceLROnPlateau
from onstage_swap_ema_weights import SwapEMAWeights
from onstage_terminate_on_nan import TerminateOnNaN

from onstage import Callback, Run, Sequential, layers, optimizers
from onstage.testing import FakeModel, check_callback, replay

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3)).astype("float32")
Y = (X.sum(axis=1, keepdims=True) > 0).astype("float32")
EPOCHS, BATCHES = 9, 4
EPOCHS_RUN = 3  # then EarlyStopping stops it


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    # The kills here are exceptions: written data are there, flushed or not.
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


class Killed(BaseException):
    """Stands for a kill: no code may catch it."""


class KillAt:
    """Kills at the n-th call of a stage."""

    def __init__(self, stage, call):
        self.calls = 0

        def count():
            self.calls += 1
            if self.calls == call:
                raise Killed

        setattr(self, stage, count)


def train(folder, killer=None, **backup):
    """Run the same program each time; return the results that a user sees."""
    model = Sequential(
        [
            layers.Input((3,)),
            layers.Dense(8, "relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(1, "sigmoid"),
        ],
        seed=0,
    )
    model.compile(optimizers.Adam(0.05, use_ema=True, ema_momentum=0.8), "binary_crossentropy", ["accuracy"])
    stopping = EarlyStopping(patience=2, min_delta=0.02, restore_best_weights=True)
    plateau = ReduceLROnPlateau(patience=1, min_delta=0.05, cooldown=1)
    history = model.fit(
        X,
        Y,
        batch_size=4,
        epochs=EPOCHS,
        validation_split=0.2,
        seed=3,
        verbose=0,
        callbacks=[
            stopping,
            plateau,
            SwapEMAWeights(swap_on_epoch=True),
            CSVLogger(folder / "log.csv"),
            ModelCheckpoint(folder / "saved" / "{epoch}-{val_loss:.4f}", max_to_keep=2),
            TerminateOnNaN(),
            *([BackupAndRestore(folder / "backup", **backup)] if backup else []),
            *([killer] if killer else []),
        ],
    )
    files = {path.name: path.read_bytes() for path in (folder / "saved").iterdir()}
    return {
        "weights": [weight.tobytes() for weight in model.get_weights()],
        "history": history.history,
        "epochs": history.epoch,
        "ended": (history.stop_reason, history.stopped_by),
        "csv": (folder / "log.csv").read_bytes(),
        "files": files,
        "best": (stopping.best, stopping.best_epoch, stopping.wait, plateau.best, plateau.cooldown_counter),
    }


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory):
    ended = train(tmp_path_factory.mktemp("unkilled"))
    assert ended["epochs"] == list(range(EPOCHS_RUN))
    return ended


def kills():
    for batch in range(1, EPOCHS_RUN * BATCHES + 1):
        yield "on_batch_end", batch
    for epoch in range(1, EPOCHS_RUN + 1):
        yield from (("on_epoch_begin", epoch), ("on_test_begin", epoch), ("on_epoch_end", epoch))
    yield "on_train_end", 1


@pytest.mark.parametrize("save_freq", ["epoch", 1, 3])
def test_a_training_killed_anywhere_ends_like_an_uninterrupted_one(tmp_path, unkilled, save_freq):
    for stage, call in kills():
        folder = tmp_path / f"{stage}-{call}"
        folder.mkdir()
        with pytest.raises(Killed):
            train(folder, KillAt(stage, call), save_freq=save_freq)

        assert train(folder, save_freq=save_freq) == unkilled, f"killed in {stage}, call {call}"


def test_a_training_killed_again_and_again_ends_the_same(tmp_path, unkilled):
    # The kill comes before the backup of its batch: each run is one batch further.
    for _ in range(EPOCHS_RUN * BATCHES - 1):
        with pytest.raises(Killed):
            train(tmp_path, KillAt("on_batch_end", 2), save_freq=1)

    assert train(tmp_path, save_freq=1) == unkilled


def test_a_stopped_training_that_is_killed_before_its_end_stops_again(tmp_path):
    def run(killer=None):
        stopping = EarlyStopping("loss", patience=1)
        backup = BackupAndRestore(tmp_path / "backup")
        callbacks = [stopping, backup, *([killer] if killer else [])]
        return replay(callbacks, [{"loss": loss} for loss in (1, 2, 3, 4)])

    with pytest.raises(Killed):
        run(KillAt("on_train_end", 1))
    with Run(
        FakeModel(), [BackupAndRestore(tmp_path / "backup"), EarlyStopping("loss", patience=1)], epochs=4
    ) as run:
        for epoch in run.epochs():
            run.log(loss=epoch + 1)

    assert run.history.epoch == [0, 1]
    assert run.stopped_by == "EarlyStopping"


def test_a_batch_schedule_continues_at_its_step(tmp_path):
    def rates(killer=None):
        model = FakeModel(1.0)
        callbacks = [LearningRateScheduler(lambda step: 1.0 / (step + 1), on="batch")]
        callbacks += [BackupAndRestore(tmp_path, save_freq=1), *([killer] if killer else [])]
        return replay_all(model, callbacks)

    with pytest.raises(Killed):
        rates(KillAt("on_batch_end", 3))

    assert rates() == [0.5, 0.25]


def replay_all(model, callbacks):
    with Run(model, callbacks, epochs=2) as run:
        for _ in run.epochs():
            for _ in run.batches([1.0, 1.0]):
                run.log(loss=1.0)
    return run.history.history["learning_rate"]


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else None


def losses(*values):
    return [{"loss": value} for value in values]


def test_passes_the_conformance_checks(tmp_path):
    for n, save_freq in enumerate(("epoch", 2)):
        check_callback(lambda n=n, save_freq=save_freq: BackupAndRestore(tmp_path / str(n), save_freq))


def test_the_backups_are_deleted_when_training_has_ended(tmp_path):
    replay(BackupAndRestore(tmp_path / "backup"), losses(1, 2))

    assert names(tmp_path) == []


def test_other_files_in_its_directory_stay(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")

    replay(BackupAndRestore(tmp_path), losses(1, 2))

    assert names(tmp_path) == ["mine.txt"]


def test_the_backups_stay_without_delete_checkpoint(tmp_path):
    replay(BackupAndRestore(tmp_path, delete_checkpoint=False), losses(1, 2))

    assert names(tmp_path) == ["backup-previous.safetensors", "backup.safetensors"]


def test_there_is_one_backup_without_double_checkpoint(tmp_path):
    replay(BackupAndRestore(tmp_path, double_checkpoint=False, delete_checkpoint=False), losses(1, 2))

    assert names(tmp_path) == ["backup.safetensors"]


def test_the_backups_stay_after_an_error(tmp_path):
    with pytest.raises(Killed):
        replay([BackupAndRestore(tmp_path), KillAt("on_epoch_end", 1)], losses(1, 2))

    assert names(tmp_path) == ["backup.safetensors"]


def test_a_first_backup_is_made_before_the_first_epoch(tmp_path):
    class Counter(Callback):
        count = 0

        def on_train_begin(self):
            self.count = 7

        def on_epoch_begin(self):
            self.count += 1

        def state_dict(self):
            return {"count": self.count}

        def load_state_dict(self, state):
            self.count = state["count"]

    counter = Counter()
    with pytest.raises(Killed):
        replay([BackupAndRestore(tmp_path), Counter(), KillAt("on_epoch_begin", 1)], losses(1))

    replay([BackupAndRestore(tmp_path), counter], losses(1))

    assert counter.count == 8


def test_a_training_that_ended_in_nans_keeps_the_backup_from_before(tmp_path):
    data = [{"loss": 1.0}, {"loss": float("nan")}]
    model = FakeModel()

    result = replay([TerminateOnNaN(), BackupAndRestore(tmp_path)], data, model=model)

    assert result.stopped_by == "TerminateOnNaN"
    with Run(FakeModel(), [BackupAndRestore(tmp_path)], epochs=2) as run:
        assert list(run.epochs()) == [1]


def test_a_second_fit_without_it_starts_at_epoch_0(tmp_path):
    model = FakeModel()
    with pytest.raises(Killed):
        replay([BackupAndRestore(tmp_path), KillAt("on_epoch_begin", 2)], losses(1, 2), model=model)
    with Run(model, [BackupAndRestore(tmp_path)], epochs=2) as run:
        assert list(run.epochs()) == [1]

    assert replay([], losses(1, 2), model=model).history.epoch == [0, 1]


def test_a_model_without_state_is_refused_before_the_first_step(tmp_path):
    with pytest.raises(TypeError, match="BackupAndRestore needs a model with state_dict, got object"):
        replay(BackupAndRestore(tmp_path), losses(1), model=object())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backup_dir": ""}, "backup_dir must be the path of a directory, got ''"),
        ({"backup_dir": None}, "backup_dir must be the path of a directory, got None"),
        ({"save_freq": False}, "save_freq must be 'epoch' or a number of batches >= 1, got False"),
        ({"save_freq": "batch"}, "save_freq must be 'epoch' or a number of batches >= 1, got 'batch'"),
        ({"save_freq": 0}, "save_freq must be an integer >= 1, got 0"),
        ({"delete_checkpoint": 1}, "delete_checkpoint must be True or False, got 1"),
    ],
)
def test_a_wrong_argument_is_refused_at_once(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        BackupAndRestore(**{"backup_dir": "a", **options})


def test_save_before_preemption_is_refused_on_windows(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")

    with pytest.raises(ValueError, match="save_before_preemption must be False on Windows"):
        BackupAndRestore("a", save_before_preemption=True)


def test_two_trainings_in_one_directory_are_refused(tmp_path):
    class Trains(Callback):
        def on_epoch_begin(self, epoch):
            replay(BackupAndRestore(tmp_path / "backup"), losses(1))

    with pytest.raises(
        RuntimeError, match=rf"backup_dir '.*backup' must be used by one training.*process {os.getpid()} "
    ):
        replay([BackupAndRestore(tmp_path / "backup"), Trains()], losses(1))

    replay(BackupAndRestore(tmp_path / "backup"), losses(1))
    assert names(tmp_path) == []


def test_two_backups_of_one_training_in_one_directory_are_refused(tmp_path):
    with pytest.raises(RuntimeError, match="must be used by one training at a time"):
        replay([BackupAndRestore(tmp_path), BackupAndRestore(tmp_path)], losses(1))


def fit(folder, epochs, killer=None, save_freq=1):
    model = Sequential([layers.Input((3,)), layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    callbacks = [BackupAndRestore(folder, save_freq), *([killer] if killer else [])]
    history = model.fit(X, Y, batch_size=5, epochs=epochs, seed=0, verbose=0, callbacks=callbacks)
    return [weight.tobytes() for weight in model.get_weights()], history.history


def test_a_backup_from_within_an_epoch_is_restored_and_kept_although_no_epoch_is_left(tmp_path):
    with pytest.raises(Killed):
        fit(tmp_path, 2, KillAt("on_batch_end", 7))  # in epoch 1, of four batches

    weights, history = fit(tmp_path, 1)

    assert weights != fit(tmp_path / "other", 0)[0], "not the initial weights"
    assert len(history["loss"]) == 1
    assert names(tmp_path) == ["backup-previous.safetensors", "backup.safetensors"]
    assert fit(tmp_path, 2) == fit(tmp_path / "unkilled", 2)
    assert names(tmp_path) == []
