"""BackupAndRestore: resume a killed training exactly where it was."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Literal

from onstage import Callback, Logs, hookimpl
from onstage.hookspecs import ignores_logs
from onstage.state import storage
from onstage.state.lock import FileLock
from onstage.validation import validate_bool, validate_int, validate_state

__all__ = ["BackupAndRestore"]


class BackupAndRestore(Callback):
    """Back up the whole run at intervals, and restore it when training begins.

    A backup holds weights, optimizer, running means, random states, epoch and
    batch, the position in the data, History and the state of every callback.
    The same program, run again after a kill, ends with the same bits as if it
    had not been killed. If the program was changed, a warning lists what differs:
    options and versions of callbacks, seed, sizes, data, loss, optimizer. The
    states of callbacks go to those of the same class and options, wherever they
    are in the list.

    Nothing is saved after a request to stop: a run that is killed then repeats
    its last epoch, and ends the same way.

    A backup that cannot be written is a warning, and the next one is tried; the
    third failure in a row ends the training (see `onstage.Callback.on_error`).

    Parameters
    ----------
    backup_dir
        Directory for this training alone; it is made, and locked while the
        training runs. Only its files ``backup.safetensors`` and
        ``backup-previous.safetensors`` are touched. Its disk needs room for
        three backups: the older ones stay until the new one is complete.
    save_freq
        ``"epoch"``, or a number of training batches, counted across epochs.
    double_checkpoint
        Keep the previous backup too; it is used, with a warning, if the last
        one cannot be read.
    delete_checkpoint
        Delete the backups at the end of training. Not after an error, and not
        if a callback with ``keeps_backup = True`` (TerminateOnNaN) stopped it.
    save_before_preemption
        On SIGTERM finish the batch, save, then let the signal end the program.
        During validation, finish it and its epoch first. Only in the main
        thread, and not on Windows, which ends programs without a signal.

    Raises
    ------
    TypeError, ValueError
        An argument is invalid; at the start of training, if the model has no
        state_dict.
    RuntimeError
        At the start of training, another one is using `backup_dir`.
    onstage.StateError
        There are backups, but none can be read or fits the model.
    OSError
        The first backup cannot be written, or three in a row; the earlier ones
        are untouched.
    """

    on_error: Literal["raise", "disable", "retry"] = "retry"
    adds_logs: ClassVar[tuple[str, ...]] = ()
    needs = ("state_dict", "load_state_dict")

    def __init__(
        self,
        backup_dir: str | PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = True,
        delete_checkpoint: bool = True,
        *,
        save_before_preemption: bool = False,
    ) -> None:
        if not isinstance(backup_dir, (str, PathLike)) or not os.fspath(backup_dir):
            raise ValueError(f"backup_dir must be the path of a directory, got {backup_dir!r}")
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self._batches = _batches(save_freq)
        self.double_checkpoint = validate_bool("double_checkpoint", double_checkpoint)
        self.delete_checkpoint = validate_bool("delete_checkpoint", delete_checkpoint)
        self.save_before_preemption = validate_bool("save_before_preemption", save_before_preemption)
        if save_before_preemption and sys.platform == "win32":
            raise ValueError(
                "save_before_preemption must be False on Windows, which ends programs without a signal, "
                "got True; save every few batches with save_freq"
            )
        self._last = Path(self.backup_dir, "backup.safetensors")
        self._previous = Path(self.backup_dir, "backup-previous.safetensors")
        self._lock = FileLock(Path(self.backup_dir, ".lock"), f"backup_dir {self.backup_dir!r}")
        self._last_is_good = self._has_backup = self._in_epoch = False
        self._since = 0
        if not (self._batches or save_before_preemption):
            self.skips = (BackupAndRestore.on_train_batch_end,)

    # First: the other callbacks open their files in this stage.
    @hookimpl(tryfirst=True)
    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Restore a backup."""
        self._since = 0
        if self.save_before_preemption:
            self._run().stop_on_signal(signal.SIGTERM)
        Path(self.backup_dir).mkdir(parents=True, exist_ok=True)
        if not self._run().rank:
            self._lock.acquire()
        found = storage.load_newest([self._previous, self._last])
        # A last backup that is damaged must not replace the previous one, which is in use.
        self._last_is_good = found is not None and found[0] == self._last
        self._has_backup = found is not None
        self._in_epoch = False
        self.failures = None
        if found is not None:
            self._run().load_state_dict(found[1])
            self._in_epoch = found[1]["batch"] > 0
            self.failures = 0

    # First: a resumed training calls the others in this stage again.
    @hookimpl(tryfirst=True)
    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Make the first backup, so that a crash in the first epoch can be resumed."""
        if not self._has_backup:
            self._save()

    # Last, so that the backup holds what the others do in this stage.
    @hookimpl(trylast=True)
    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, if save_freq is "epoch" or a signal asks the program to end."""
        if not self._batches or self._run().interruption is not None:
            self._save()

    @hookimpl(trylast=True)
    @ignores_logs
    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save after every `save_freq` batches, or if a signal asks the program to end."""
        self._since += self._batches > 0
        if 0 < self._batches <= self._since or self._run().interruption is not None:
            self._since = 0
            self._save()

    @hookimpl(trylast=True)
    def on_train_end(self, logs: Logs | None = None) -> None:
        """Delete the backups, if training has reached its end."""
        run = self._run()
        asker = dict(run.bus.plugins()).get(run.stopped_by or "")
        if not self.delete_checkpoint or run.rank or getattr(asker, "keeps_backup", False):
            return
        if run.interruption is not None:
            return  # The program ends before it can use the trained model.
        if self._in_epoch and run.epoch is None:
            return  # Made in an epoch that this training doesn't have: a longer one continues it.
        for path in (self._last, self._previous):
            path.unlink(missing_ok=True)
        self._lock.release()
        # Other files in it keep the directory.
        with contextlib.suppress(OSError):
            os.rmdir(self.backup_dir)

    def _save(self) -> None:
        run = self._run()
        if run.stopping or run.rank:
            return
        keeps = self.double_checkpoint and self._last_is_good
        storage.save(self._last, run.state_dict(), previous=self._previous if keeps else None)
        self._last_is_good = self._has_backup = True
        self.failures = 0

    def on_teardown(self) -> None:
        """Release the directory."""
        self._lock.release()

    def _run(self) -> Any:
        if self.run is None:
            raise RuntimeError("BackupAndRestore must be registered with a Run, got a call outside one")
        return self.run

    def state_dict(self) -> dict[str, Any]:
        """Return the number of batches since the last backup."""
        return {"since": self._since}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`; raise StateError if it is invalid."""
        (self._since,) = validate_state(state, since=int)


def _batches(save_freq: object) -> int:
    """Return the number of batches between two backups; 0 for epochs."""
    if save_freq == "epoch":
        return 0
    if isinstance(save_freq, bool) or not isinstance(save_freq, int):
        raise ValueError(f"save_freq must be 'epoch' or a number of batches >= 1, got {save_freq!r}")
    return validate_int("save_freq", save_freq, 1)
