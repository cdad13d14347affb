"""An adapter that stands on HostCallback runs callbacks as fit does."""

import contextlib
import copy
import dataclasses
import importlib.util
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from onstage import Callback
from onstage.callbacks import BackupAndRestore, EarlyStopping, ModelCheckpoint
from onstage.hosts import settings_name_callbacks
from onstage.testing import HOST_CHECKS, HostTraining, Recorder, check_host

_spec = importlib.util.spec_from_file_location("trainer", Path(__file__).with_name("trainer.py"))
trainer = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(trainer)

check_errors_of_the_host = next(check for check in HOST_CHECKS if "errors_of_the_host" in check.__name__)

X = np.array([1.0, 2.0, 3.0])


def make_training(callbacks, *, epochs, error=None, watcher=trainer.OnstageWatcher, rate=0.01):
    adapter = watcher(callbacks)
    fitter = trainer.Fitter(adapter, epochs, error)

    def run():
        fitter.weight, fitter.rate = np.ones(1), rate
        with adapter:
            fitter.fit(X, 2 * X)

    return HostTraining(
        adapter,
        run,
        batches=3,
        learning_rate=lambda: fitter.rate,
        weights=lambda: [fitter.weight],
        suffix=".txt",
    )


@pytest.mark.parametrize("check", HOST_CHECKS, ids=lambda check: check.__name__)
def test_a_small_adapter_passes_every_check(check):
    check(make_training)


class Deaf(trainer.OnstageWatcher):
    """Does not stop, and takes the first step of an epoch for two."""

    def event(self, name, fitter, *arguments):
        if name == "step" and arguments[0] == 0:
            super().event(name, fitter, *arguments)
        return super().event(name, fitter, *arguments) and False


class Silent(trainer.OnstageWatcher):
    """Does not pass the validation on, and swallows errors."""

    def event(self, name, fitter, *arguments):
        if name == "checking":
            return False
        if name == "epoch_done":
            return not self.end("epoch", {"valid_loss": 1.0})
        return super().event(name, fitter, *arguments)

    def __exit__(self, kind, error, trace):
        super().__exit__(None, None, None)
        return True


@pytest.mark.parametrize(
    ("watcher", "failures"),
    [
        (Deaf, ("golden_trace", "trains_twice", "stops_after_an_epoch", "stops_in_an_epoch")),
        (Silent, ("golden_trace", "logs", "errors_of_callbacks", "errors_of_the_host", "refuses_a_need")),
    ],
)
def test_check_host_lists_everything_that_an_adapter_does_wrong(watcher, failures):
    with pytest.raises(AssertionError, match=r"of 14 checks failed") as caught:
        check_host(lambda *given, **named: make_training(*given, **named, watcher=watcher))

    listed = {line.strip().partition(":")[0] for line in str(caught.value).splitlines()[1:]}
    assert set(failures) <= listed


def make_interruptible(callbacks, *, epochs, error=None, end=None):
    """Make a training that catches Ctrl-C, and tells the adapter `end`."""
    training = make_training(callbacks, epochs=epochs, error=error)
    run = training.run

    def catching():
        with contextlib.suppress(KeyboardInterrupt):
            run()

    class Catching(type(training.adapter)):
        def __exit__(self, kind, error, trace):
            super().__exit__(kind, end if kind is KeyboardInterrupt else error, trace)

    training.adapter.__class__ = Catching
    return dataclasses.replace(training, run=catching, interrupt_stops=True)


def test_a_host_that_catches_interrupts_must_end_the_training_as_a_stop_does():
    check_errors_of_the_host(make_interruptible)

    with pytest.raises(AssertionError, match="Ctrl-C must end the training as a stop does"):
        check_errors_of_the_host(partial(make_interruptible, end=KeyboardInterrupt()))


def test_early_stopping_restores_the_best_weights_of_the_host():
    # A rate of 0.1 diverges: each step on x = 3 multiplies the error by 0.8, on all three by 0.13.
    stop = EarlyStopping("val_loss", patience=2, restore_best_weights=True)
    training = make_training([Worse(), stop], epochs=9)
    training.run()

    assert training.adapter.history.stopped_by == "EarlyStopping"
    assert training.adapter.history.history["val_loss"] == [1.0, 2.0, 3.0]
    np.testing.assert_array_equal(training.weights()[0], stop.best_weights[0])
    assert stop.best_epoch == 0


class Worse(Callback):
    adds_logs = ("val_loss",)

    def on_epoch_end(self, epoch, logs):
        logs["val_loss"] = epoch + 1.0


def test_model_checkpoint_writes_the_file_of_the_host(tmp_path):
    training = make_training([ModelCheckpoint(tmp_path / "{epoch}.txt")], epochs=2)
    training.run()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.txt", "2.txt", "best", "latest"]
    assert np.loadtxt(tmp_path / "2.txt") == training.weights()[0]


class Watches(Callback):
    def on_train_batch_end(self, batch):
        pass


class Rounds(trainer.OnstageWatcher):
    lacks = {"batches": "act in on_epoch_end"}  # noqa: RUF012


class CanDoWithout(Watches):
    optional = ("batches",)


@pytest.mark.parametrize(
    ("callback", "watcher", "message"),
    [
        (
            BackupAndRestore("backup"),
            trainer.OnstageWatcher,
            "BackupAndRestore needs state_dict, which Fitter does not",
        ),
        (
            Watches(),
            Rounds,
            "Watches needs batches, which Fitter does not offer to callbacks; act in on_epoch_end",
        ),
        (
            ModelCheckpoint("a.txt", save_freq=2),
            Rounds,
            "ModelCheckpoint needs batches, which Fitter does not offer",
        ),
    ],
)
def test_what_the_host_lacks_is_refused_with_its_own_way(callback, watcher, message):
    training = make_training([callback], epochs=1, watcher=watcher)

    with pytest.raises(TypeError, match=message):
        training.run()
    assert training.weights()[0] == 1.0  # before the first step


def test_a_callback_that_can_do_without_batches_is_not_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    training = make_training(
        [CanDoWithout(), ModelCheckpoint("model.txt"), Recorder()], epochs=1, watcher=Rounds
    )
    training.run()

    assert training.adapter.history.epoch == [0]


def test_events_outside_a_training_do_not_reach_the_callbacks():
    recorder = Recorder()
    adapter = trainer.OnstageWatcher([recorder])

    adapter.begin("test_batch")
    assert adapter.end("epoch") is True
    adapter.finish()

    assert recorder.trace == []
    assert adapter.save_state() is None


def test_a_training_that_ended_without_a_word_is_closed_by_the_next_one():
    recorder = Recorder()
    adapter = trainer.OnstageWatcher([recorder])
    fitter = trainer.Fitter(adapter, 1)
    adapter.event("begin", fitter)
    adapter.event("begin", fitter)
    adapter.event("done", fitter)

    assert recorder.stages == [
        *("on_train_begin", "on_exception", "on_teardown"),
        *("on_train_begin", "on_train_end", "on_teardown"),
    ]
    assert recorder.trace[1].keys == ("RuntimeError",)


def test_the_state_of_the_callbacks_continues_in_another_training():
    first, second = EarlyStopping("loss", patience=5), EarlyStopping("loss", patience=5)
    saving, loading = trainer.OnstageWatcher([first]), trainer.OnstageWatcher([second])
    fitter = trainer.Fitter(saving, 5)
    saving.event("begin", fitter)
    for loss in (0.5, 0.7):
        saving.begin("train_batch", 0)
        assert saving.save_state() is None  # inside a batch
        saving.end("train_batch", {"loss": loss})
        saving.end("epoch")
    state = copy.deepcopy(saving.save_state())
    saving.finish()

    loading.start(loading.view(fitter), epochs=5, state=state)
    loading.begin("epoch")
    assert loading.active_run.epoch == 2
    assert (second.best, second.wait) == (0.5, 1)
    loading.finish(KeyboardInterrupt())


def test_processes_agree_on_a_stop_after_each_batch():
    adapter = trainer.OnstageWatcher([])
    view = adapter.view(trainer.Fitter(adapter, 1))
    view._agree = lambda asked: True  # another process asks

    adapter.start(view, epochs=2)
    adapter.begin("train_batch", 0)
    assert adapter.end("train_batch", {"loss": 1.0}) is False
    adapter.finish()

    assert adapter.history.stop_reason == "another process stopped the training"


def test_the_settings_add_their_callbacks_once(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert not settings_name_callbacks()
    monkeypatch.setenv("ONSTAGE_CALLBACKS", "csv_logger")
    (tmp_path / "pyproject.toml").write_text('[tool.onstage.options]\ncsv_logger = {filename = "log.csv"}\n')
    assert settings_name_callbacks()

    training = make_training([], epochs=2)
    training.run()
    training.run()

    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3
    monkeypatch.setenv("ONSTAGE_AUTOUSE", "0")
    assert not settings_name_callbacks()
