"""BackupAndRestore: a training that was killed goes on where it was, to the bit."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Generator
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

from onstage import Callback, hookimpl
from onstage.state import storage
from onstage.validation import validate_bool, validate_int, validate_state

__all__ = ["BackupAndRestore"]


class BackupAndRestore(Callback):
    """Save everything at intervals, and take it up again when training begins.

    Everything: weights, optimizer, averages, random states, epoch and batch,
    the place in the data, History, and the state of every callback. The same
    program run again after a kill ends as if it had not been killed.

    Nothing is saved once the end of the training has been asked for: a run
    that is killed then does its last epoch again, and ends the same way.

    Parameters
    ----------
    backup_dir
        A directory for this training alone; it is made. Only the files
        ``backup.safetensors`` and ``backup-previous.safetensors`` in it are ever
        touched.
    save_freq
        ``"epoch"``, or a number of training batches, counted across epochs.
    double_checkpoint
        Keep the backup before the last too; when the last can't be read, it is
        used, with a warning.
    delete_checkpoint
        Delete the backups when training has ended. Not after an error, and not
        when a callback with ``keeps_backup = True`` (TerminateOnNaN) ended it.
    save_before_preemption
        On SIGTERM finish the batch, save, and only then die of it; a validation
        is finished first, and then its epoch. In the main thread alone.

    Raises
    ------
    TypeError, ValueError
        An argument is of a wrong kind or out of its range; at the beginning of
        the training, when the model has no state_dict.
    onstage.StateError
        There are backups, but none can be read or fits the model.
    OSError
        A backup can't be written; the one before is untouched.
    """

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
        self._last = Path(self.backup_dir, "backup.safetensors")
        self._previous = Path(self.backup_dir, "backup-previous.safetensors")
        self._since = 0
        if self._batches or save_before_preemption:
            # On the instance: backups by epochs cost no batch a call.
            self.on_batch_end = self._after_batch  # type: ignore[method-assign]  # meant

    # Around the others: a backup is taken up before they begin their files; the
    # first one, without which a kill in the first epoch would leave files that
    # nobody knows of, is made behind them.
    @hookimpl(wrapper=True, tryfirst=True)
    def on_train_begin(self) -> Generator[None, Any, Any]:  # type: ignore[override]  # a wrapper
        """Take up a backup, or make the first one."""
        self._since = 0
        if self.save_before_preemption:
            self._run().stop_on_signal(signal.SIGTERM)
        Path(self.backup_dir).mkdir(parents=True, exist_ok=True)
        found = storage.load_newest([self._previous, self._last])
        if found is not None:
            self._run().load_state_dict(found[1])
        result = yield
        if found is None:
            self._save()
        return result

    # Last of all: what the others do in this stage is in the backup.
    @hookimpl(trylast=True)
    def on_epoch_end(self) -> None:
        """Save, if it is done by epochs or the program is to end."""
        if not self._batches or self._run().interruption is not None:
            self._save()

    @hookimpl(trylast=True)
    def _after_batch(self) -> None:
        self._since += 1
        if 0 < self._batches <= self._since or self._run().interruption is not None:
            self._since = 0
            self._save()

    @hookimpl(trylast=True)
    def on_train_end(self) -> None:
        """Delete the backups, when the training has reached its end."""
        run = self._run()
        asker = dict(run.bus.plugins()).get(run.stopped_by or "")
        if not self.delete_checkpoint or run.rank or getattr(asker, "keeps_backup", False):
            return
        if run.interruption is not None:
            return  # The program dies before it can use what it has trained.
        for path in (self._last, self._previous):
            path.unlink(missing_ok=True)
        # Files of somebody else's in it keep the directory.
        with contextlib.suppress(OSError):
            os.rmdir(self.backup_dir)

    def _save(self) -> None:
        run = self._run()
        if run.stopping or run.rank:
            return
        state = run.state_dict()
        if self.double_checkpoint and self._last.exists():
            os.replace(self._last, self._previous)
        storage.save(self._last, state)

    def _run(self) -> Any:
        if self.run is None:
            raise RuntimeError("BackupAndRestore must take part in a Run; it can't be called by hand")
        return self.run

    def state_dict(self) -> dict[str, Any]:
        """Give how many batches ago the last backup was."""
        return {"since": self._since}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave; raises StateError for anything else."""
        (self._since,) = validate_state(state, since=int)


def _batches(save_freq: object) -> int:
    """Give how many batches lie between two backups; 0 for epochs."""
    if save_freq == "epoch":
        return 0
    if isinstance(save_freq, bool) or not isinstance(save_freq, int):
        raise ValueError(f"save_freq must be 'epoch' or a number of batches >= 1, got {save_freq!r}")
    return validate_int("save_freq", save_freq, 1)
