"""Damaged backups: the newest good one is used, and never replaced by a damaged one."""

import errno
import os

import pytest
from onstage_backup_and_restore import BackupAndRestore

from onstage import OnstageWarning, Run, Sequential, StateError, layers
from onstage.state import storage
from onstage.testing import FakeModel, replay


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


def losses(*values):
    return [{"loss": value} for value in values]


def killed_after(epochs, folder):
    """Train for some epochs, after those of an earlier training, and be killed."""
    killer = KillAt("on_epoch_begin", epochs + 1)
    with pytest.raises(Killed), Run(FakeModel(), [BackupAndRestore(folder), killer], epochs=9) as run:
        for epoch in run.epochs():
            run.log(loss=epoch)


def resumed_epochs(folder):
    with Run(FakeModel(), [BackupAndRestore(folder)], epochs=5) as run:
        return list(run.epochs())


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[:99] + b"?" + data[100:], lambda data: b""]
)
def test_a_damaged_backup_is_reported_and_the_previous_one_is_used(tmp_path, damage):
    killed_after(3, tmp_path)
    last = tmp_path / "backup.safetensors"
    last.write_bytes(damage(last.read_bytes()))

    with pytest.warns(
        OnstageWarning, match=r"backup\.safetensors.*backup-previous\.safetensors' is used instead"
    ):
        assert resumed_epochs(tmp_path) == [2, 3, 4]


def test_backups_that_are_all_damaged_are_an_error(tmp_path):
    killed_after(3, tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(b"nothing")

    with pytest.raises(StateError, match="no state file can be read"):
        resumed_epochs(tmp_path)


def test_a_backup_of_another_model_is_an_error(tmp_path):
    def fit(width):
        model = Sequential([layers.Input((3,)), layers.Dense(width), layers.Dense(1)])
        model.compile("sgd", "mse")
        killer = [KillAt("on_epoch_begin", 2)]
        model.fit([[1.0] * 3], [[1.0]], epochs=2, verbose=0, callbacks=[BackupAndRestore(tmp_path), *killer])

    with pytest.raises(Killed):
        fit(2)
    with pytest.raises(StateError):
        fit(3)


def test_a_write_that_fails_leaves_the_previous_backup(tmp_path, monkeypatch):
    def full(path, state, **options):
        if state["epoch"] == 2:
            raise OSError(28, "No space left on device", str(path))
        return save(path, state, **options)

    import onstage.state.storage

    save = onstage.state.storage.save
    monkeypatch.setattr(onstage.state.storage, "save", full)
    with pytest.raises(OSError, match=r"No space left on device.*backup\.safetensors"):
        backup = BackupAndRestore(tmp_path)
        backup.on_error = "raise"
        replay(backup, losses(1, 2, 3))
    monkeypatch.undo()

    assert resumed_epochs(tmp_path) == [1, 2, 3, 4]


def damage(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace", "link"])
def test_the_previous_backup_survives_a_damaged_last_one_and_a_save_that_fails(
    tmp_path, monkeypatch, call, number
):
    killed_after(3, tmp_path)
    damage(tmp_path / "backup.safetensors")

    def failing(*args, **options):
        if str(args[0]).endswith(".lock"):
            return plain(*args, **options)
        raise OSError(number, os.strerror(number))

    plain = getattr(os, call)
    backup = BackupAndRestore(tmp_path)
    backup.on_error = "raise"
    with pytest.warns(OnstageWarning, match="is used instead"), Run(FakeModel(), [backup], epochs=5) as run:
        epochs = run.epochs()
        assert next(epochs) == 2
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            if call != "link":  # nothing is linked: the damaged file isn't kept
                with pytest.raises(OSError, match=os.strerror(number)):
                    next(epochs)
        del epochs
        run.close(Killed())

    with pytest.warns(OnstageWarning, match="is used instead"):
        assert resumed_epochs(tmp_path) == [2, 3, 4]


def test_a_damaged_backup_is_replaced_by_the_next_one_and_the_previous_one_stays(tmp_path):
    killed_after(3, tmp_path)
    damage(tmp_path / "backup.safetensors")

    with pytest.warns(OnstageWarning, match="is used instead"):
        killed_after(1, tmp_path)

    assert storage.load(tmp_path / "backup.safetensors")["epoch"] == 3
    assert storage.load(tmp_path / "backup-previous.safetensors")["epoch"] == 2


def test_a_backup_that_is_damaged_after_it_was_written_leaves_a_good_one_whatever_fails(tmp_path):
    killed_after(3, tmp_path)

    backup = BackupAndRestore(tmp_path)
    backup.on_error = "raise"
    with Run(FakeModel(), [backup], epochs=5) as run:
        epochs = run.epochs()
        next(epochs), next(epochs)
        damage(tmp_path / "backup.safetensors")
        plain = os.replace
        try:
            os.replace = lambda *args: os._missing  # an AttributeError: any failure
            with pytest.raises(AttributeError):
                next(epochs)
        finally:
            os.replace = plain
        del epochs
        run.close(Killed())

    with pytest.warns(OnstageWarning, match="is used instead"):
        assert resumed_epochs(tmp_path) == [3, 4]
