"""One error of a disk doesn't end a training; errors in a row, or of the first save, do."""

import errno
import itertools
import os

import pytest

from onstage import Callback, OnstageWarning, Run
from onstage.callbacks import BackupAndRestore, ModelCheckpoint
from onstage.state import storage
from onstage.testing import FakeModel

EPOCHS = 8


@pytest.fixture
def break_disk(monkeypatch):
    """Return a function that makes some saves fail, by their numbers from 0."""

    def breaks(number, sick):
        plain, count = os.replace, itertools.count()

        def replace(source, target):
            whole = target.endswith(".safetensors") and "previous" not in target
            if whole and next(count) in sick:
                raise OSError(number, os.strerror(number))
            plain(source, target)

        monkeypatch.setattr(os, "replace", replace)

    return breaks


def train(*callbacks):
    with Run(FakeModel(), list(callbacks), epochs=EPOCHS) as run:
        for epoch in run.epochs():
            run.log(loss=10.0 - epoch, val_loss=10.0 - epoch)
    return run.history


@pytest.fixture(params=["backup", "checkpoint", "background"])
def make(request, tmp_path):
    """Return a function that makes a callback that saves, and the file that it writes last."""
    return {
        "backup": lambda: BackupAndRestore(tmp_path, delete_checkpoint=False),
        "checkpoint": lambda: ModelCheckpoint(tmp_path / "{epoch}"),
        "background": lambda: ModelCheckpoint(tmp_path / "{epoch}", save_in_background=True),
    }[request.param]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.EACCES])
def test_a_training_survives_errors_that_pass(tmp_path, break_disk, make, number):
    break_disk(number, {2, 3, 5})

    with pytest.warns(OnstageWarning) as caught:
        history = train(make())

    assert history.epoch == list(range(EPOCHS))
    assert history.disabled == []
    assert len(caught) == 3
    assert all(os.strerror(number) in str(warning.message) for warning in caught)
    assert all("and tries again the next time" in str(warning.message) for warning in caught)
    files = {path.name: storage.load(path) for path in tmp_path.glob("*.safetensors")}
    assert files
    assert "backup.safetensors" not in files or files["backup.safetensors"]["epoch"] == EPOCHS
    assert "backup.safetensors" in files or f"{EPOCHS}.safetensors" in files


def test_the_third_error_in_a_row_ends_the_training(break_disk, make):
    break_disk(errno.EIO, range(2, EPOCHS))

    with pytest.warns(OnstageWarning) as caught, pytest.raises(OSError, match="Input/output error"):
        train(make())

    assert len(caught) == 2


def test_an_error_of_the_first_save_is_raised(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        train(ModelCheckpoint(tmp_path / "file" / "{epoch}"))
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        train(BackupAndRestore(tmp_path / "file"))


@pytest.mark.parametrize("in_background", [False, True])
def test_a_best_model_that_could_not_be_saved_is_not_taken_for_saved(tmp_path, break_disk, in_background):
    losses = [5.0, 1.0, 4.0, 3.0]  # the best one is lost
    checkpoint = ModelCheckpoint(
        tmp_path / "{epoch}", "loss", save_best_only=True, save_in_background=in_background
    )

    break_disk(errno.EIO, {1})
    with (
        pytest.warns(OnstageWarning, match="tries again"),
        Run(FakeModel(), [checkpoint], epochs=4) as run,
    ):
        for epoch in run.epochs():
            run.log(loss=losses[epoch])

    assert checkpoint.best == 3.0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("1.safetensors", "3.safetensors", "4.safetensors", "best", "latest")
    ]
    assert (tmp_path / "best").read_text() == "4.safetensors\n"


def test_other_errors_are_raised_at_once(tmp_path):
    class Grows(FakeModel):
        def state_dict(self):
            return {**super().state_dict(), "odd": {1, 2}} if self.old else super().state_dict()

        old = False

    class Ages(Callback):
        def on_epoch_begin(self, epoch):
            self.model.old = epoch == 1

    with (
        pytest.raises(TypeError, match="state must hold"),
        Run(Grows(), [BackupAndRestore(tmp_path), Ages()], epochs=3) as run,
    ):
        for _ in run.epochs():
            run.log(loss=1.0)


def test_on_error_raise_ends_the_training_with_the_first_error(break_disk, make):
    break_disk(errno.EIO, {2})
    callback = make()
    callback.on_error = "raise"

    with pytest.raises(OSError, match="Input/output error"):
        train(callback)
