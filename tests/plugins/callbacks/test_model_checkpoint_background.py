"""Checkpoints written in the background: the same files, and no error is lost."""

import pickle
import threading
import time

import pytest
from onstage_model_checkpoint import ModelCheckpoint

from onstage import Callback, ModelView, Run, Sequential, layers, load_model
from onstage.state import storage
from onstage.testing import FakeModel, check_callback, replay


def losses(*values):
    return [{"loss": value} for value in values]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def writers():
    return [thread for thread in threading.enumerate() if thread.name == "onstage-model-checkpoint"]


@pytest.fixture
def gate(monkeypatch):
    """Block the writing of files until it is opened."""
    may_write, save = threading.Event(), storage.save

    def save_when_open(path, state):
        assert threading.current_thread() is not threading.main_thread()
        may_write.wait(30)
        save(path, state)

    monkeypatch.setattr(storage, "save", save_when_open)
    return may_write


class Unwritable(FakeModel):
    """Its state holds an object that cannot be saved."""

    def snapshot(self, weights_only=False):
        return {"thing": object()}


def test_passes_the_conformance_checks(tmp_path):
    check_callback(lambda: ModelCheckpoint(tmp_path / "{epoch}", save_in_background=True))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_to_keep": 1},
        {"monitor": "loss", "save_best_only": True, "max_to_keep": 1},
        {"save_weights_only": True},
        {"save_freq": 3},
    ],
)
def test_the_files_are_those_of_a_save_in_the_stage(tmp_path, options):
    for folder, in_background in (("within", False), ("beside", True)):
        callback = ModelCheckpoint(tmp_path / folder / "{epoch}", save_in_background=in_background, **options)
        replay(callback, losses(3, 2, 4, 1, 5), batches=2)

    assert contents(tmp_path / "beside") == contents(tmp_path / "within")
    assert not writers()


def test_the_file_holds_the_model_as_it_was_in_the_stage(tmp_path):
    model = Sequential([layers.Input((2,)), layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    seen = []

    class Looks(Callback):
        def on_epoch_end(self):
            seen.append([weight.tolist() for weight in self.model.get_weights()])

    checkpoint = ModelCheckpoint(tmp_path / "{epoch}", save_in_background=True)
    model.fit([[1, 2], [3, 4]], [1, 2], epochs=4, verbose=0, callbacks=[checkpoint, Looks()])

    assert seen[0] != seen[1]
    for epoch, weights in enumerate(seen, start=1):
        saved = load_model(tmp_path / f"{epoch}.safetensors")
        assert [weight.tolist() for weight in saved.get_weights()] == weights


def test_the_memory_of_a_copy_is_reused(tmp_path, monkeypatch):
    written, save = [], storage.save

    def noting(path, state):
        written.append([id(state[f"dense/{name}"]) for name in ("kernel", "bias")])
        save(path, state)

    model = Sequential([layers.Input((2,)), layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    monkeypatch.setattr(storage, "save", noting)
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}", save_in_background=True)
    model.fit([[1, 2], [3, 4]], [1, 2], epochs=3, verbose=0, callbacks=[checkpoint])

    assert written[0] == written[1] == written[2]
    assert not set(written[0]) & {id(weight.value) for weight in model.weights}


def test_training_continues_while_a_file_is_written(tmp_path, gate):
    there = []

    class GoesOn(Callback):
        def on_epoch_end(self):
            there.append((tmp_path / "model.safetensors").exists())
            gate.set()

    checkpoint = ModelCheckpoint(tmp_path / "model", save_in_background=True)
    with Run(FakeModel(), [checkpoint, GoesOn()]) as run:
        list(run.epochs())

    assert there == [False]
    assert (tmp_path / "model.safetensors").exists()


def test_no_more_than_one_copy_of_the_weights_waits(tmp_path, gate):
    given = []

    class Counts(Callback):
        def on_epoch_end(self, epoch):
            given.append(epoch)

    checkpoint = ModelCheckpoint(tmp_path / "model", save_in_background=True)
    opener = threading.Timer(0.2, lambda: (given.append("open"), gate.set()))
    opener.start()
    with Run(FakeModel(), [checkpoint, Counts()], epochs=3) as run:
        list(run.epochs())

    # The second save waits for the first to be written.
    assert given == [0, "open", 1, 2]


@pytest.mark.parametrize("epochs", [1, 50])
def test_a_write_error_ends_the_training(tmp_path, epochs):
    ran = []
    checkpoint = ModelCheckpoint(tmp_path / "model", save_in_background=True)

    with (
        pytest.raises(TypeError, match="got object at 'thing'") as caught,
        Run(Unwritable(), [checkpoint], epochs=epochs) as run,
    ):
        for epoch in run.epochs():
            ran.append(epoch)
            time.sleep(0.001)

    assert len(ran) < 50
    assert any("raised by callback ModelCheckpoint" in note for note in caught.value.__notes__)
    assert not writers()


def test_after_an_error_of_the_training_the_file_is_still_written(tmp_path, gate):
    threading.Timer(0.1, gate.set).start()
    checkpoint = ModelCheckpoint(tmp_path / "model", save_in_background=True)

    with pytest.raises(ZeroDivisionError), Run(FakeModel(), [checkpoint], epochs=2) as run:
        for epoch in run.epochs():
            if epoch == 1:
                raise ZeroDivisionError

    assert storage.load(tmp_path / "model.safetensors")["steps"] == 0
    assert not writers()


def test_a_state_that_refers_to_a_file_is_returned_after_the_write(tmp_path, gate):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}", save_in_background=True)
    states = []

    class Backs(Callback):
        def on_epoch_end(self):
            threading.Timer(0.1, gate.set).start()
            states.append((checkpoint.state_dict()["saved"], (tmp_path / "1.safetensors").exists()))

    with Run(FakeModel(), [checkpoint, Backs()]) as run:
        list(run.epochs())

    assert states == [([{"epoch": 1}], True)]


def test_a_pickled_one_saves_too(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path / "model", save_in_background=True)
    replay(checkpoint, losses(1))

    again = pickle.loads(pickle.dumps(checkpoint))
    (tmp_path / "model.safetensors").unlink()
    replay(again, losses(1))

    assert (tmp_path / "model.safetensors").exists()


def test_a_model_without_snapshot_is_refused_when_training_begins(tmp_path):
    class Old(FakeModel):
        snapshot = property()

    with (
        pytest.raises(TypeError, match="ModelCheckpoint needs a model with snapshot, got Old without it"),
        Run(Old(), [ModelCheckpoint(tmp_path / "model", save_in_background=True)]),
    ):
        pytest.fail("was entered")


def test_a_view_of_weights_alone_is_enough_for_weights(tmp_path):
    view = ModelView(get_weights=lambda: [[1.0, 2.0]])
    checkpoint = ModelCheckpoint(tmp_path / "w", save_weights_only=True, save_in_background=True)

    with Run(view, [checkpoint]) as run:
        list(run.epochs())

    assert storage.load(tmp_path / "w.safetensors")["weights"][0].tolist() == [1.0, 2.0]
