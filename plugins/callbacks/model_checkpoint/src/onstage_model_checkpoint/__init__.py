"""ModelCheckpoint: save the model at intervals, or when it is the best so far."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import partial
from os import PathLike
from pathlib import Path
from typing import ClassVar, Literal

from onstage import Callback, Logs
from onstage.callbacks.monitor import Monitor
from onstage.errors import OnstageWarning
from onstage.model import State
from onstage.state import copy_state, storage
from onstage.state.atomic import write_atomic
from onstage.state.background import Background
from onstage.validation import (
    validate_bool,
    validate_int,
    validate_optional_float,
    validate_state,
    validate_verbosity,
)
from onstage_model_checkpoint.save_freq import parse_save_freq
from onstage_model_checkpoint.template import Template, Values

__all__ = ["ModelCheckpoint"]


class ModelCheckpoint(Callback):
    """Save the model or its weights during training.

    Files are in safetensors format, whatever their suffix, with a checksum. A
    file is replaced once the new one is safe on disk. If the file name in
    `filepath` has fields, two files beside the checkpoints, ``latest`` and
    ``best``, hold the names of the newest and the best one (``best`` only if
    the monitor is in the logs). Each ModelCheckpoint with such a file name
    needs its own directory.

    Parameters
    ----------
    filepath
        Path, which may have the fields ``{epoch}`` and ``{batch}``, which count
        from 1, and metrics: ``"{epoch:02d}-{val_loss:.3f}"``. Without a suffix
        it gets ``.safetensors``. Directories are made with the first file.
    monitor
        Metric that decides which model is the best.
    verbose
        1 prints each decision.
    save_best_only
        Save only if the monitor has improved.
    save_weights_only
        Save the weights without configuration and optimizer.
    mode
        ``"min"``, ``"max"`` or ``"auto"``.
    save_freq
        ``"epoch"``; ``"5 epochs"``; or a number of training batches, counted
        across epochs.
    initial_value_threshold
        Initial best value.
    max_to_keep
        Number of newest files to keep; older files of this callback are
        deleted, except the best one. None keeps them all.
    save_in_background
        Copy the weights in the hook, and write them in a background thread.
        The file may be written after the hook returns; it is complete before
        the next save, ``on_train_end`` and ``state_dict()``, which also raise
        any write error, as does the next ``on_epoch_begin``. It takes the
        memory of one copy until training ends; the first save, which
        allocates it, is the slowest.

    Attributes
    ----------
    best
        Best value so far. It is kept after training: a second ``fit`` must
        improve on it.

    Raises
    ------
    TypeError, ValueError
        An argument or the template is invalid; at the start of training, if a
        field, or the monitor of save_best_only, is not among the metrics.
    OSError
        The first file cannot be written, or three in a row: other failures are
        warnings (see `onstage.Callback.on_error`). The file to be replaced is
        untouched.

    Examples
    --------
    >>> checkpoint = ModelCheckpoint("runs/{epoch:02d}-{val_loss:.3f}", max_to_keep=2)
    >>> checkpoint.filepath
    'runs/{epoch:02d}-{val_loss:.3f}.safetensors'
    """

    on_error: Literal["raise", "disable", "retry"] = "retry"
    adds_logs: ClassVar[tuple[str, ...]] = ()
    ranks: ClassVar[Literal["zero", "all"]] = "zero"

    def __init__(
        self,
        filepath: str | PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        *,
        max_to_keep: int | None = None,
        save_in_background: bool = False,
    ) -> None:
        self._template = Template(filepath)
        self.filepath = self._template.text
        self._monitor = Monitor(monitor, mode)
        self.monitor = monitor
        self.verbose = validate_verbosity(verbose)
        self.save_best_only = validate_bool("save_best_only", save_best_only)
        self.save_weights_only = validate_bool("save_weights_only", save_weights_only)
        self.mode = mode
        self.save_freq = save_freq
        self._epochs, self._batches = parse_save_freq(save_freq)
        if "batch" in self._template.fields and not self._batches:
            raise ValueError("filepath must have {batch} only if save_freq is a number of batches")
        self.best = validate_optional_float("initial_value_threshold", initial_value_threshold)
        self.initial_value_threshold = self.best
        self.max_to_keep = None if max_to_keep is None else validate_int("max_to_keep", max_to_keep, 1)
        self.save_in_background = validate_bool("save_in_background", save_in_background)
        self.needs = ("save_weights",) if save_weights_only else ("save",)
        if save_in_background:
            self.needs = ("snapshot", *self.needs)
        self._writing = Background("onstage-model-checkpoint")
        self._copy: State | None = None
        self._batches_since = 0
        self._epoch = 0
        self._saved: dict[Path, Values] = {}
        self._best_saved: Values | None = None
        if not self._batches:
            self.skips = (ModelCheckpoint.on_train_batch_end,)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Check the monitor and the template's fields against the metrics."""
        self.failures = None
        run = self.run
        names = None if run is None else run.metric_names
        if self.save_best_only:
            self._monitor.resolve(self)
            if self._batches and names is not None and self.monitor.startswith("val_"):
                raise ValueError(
                    f"monitor must be a metric of the training for save_freq={self.save_freq}, "
                    f"got {self.monitor!r}; validation runs after the last batch"
                )
        else:
            self._monitor.direction = self._monitor.direction_for(self.model)
        self._template.check_fields(self, batches=bool(self._batches))

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Remember the epoch for the file names."""
        self._epoch = epoch
        self._writing.check()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save after every `save_freq` batches."""
        self._batches_since += 1
        if self._batches_since >= self._batches:
            self._batches_since = 0
            self._save({"batch": batch + 1, **(logs or {}), "epoch": self._epoch + 1})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save after every `save_freq` epochs."""
        if self._epochs and (epoch + 1) % self._epochs == 0:
            self._save({**(logs or {}), "epoch": epoch + 1})

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Wait until all files are on disk."""
        self._writing.flush()

    def on_teardown(self) -> None:
        """Wait for the files after an error too, and end the thread."""
        self._copy = None
        self._writing.close()

    # -- saving

    def _save(self, logs: Logs) -> None:
        try:
            # Write the previous file first, so that there is only one copy of the weights.
            self._writing.flush()
        finally:  # An error of the previous file doesn't cost this one too.
            self._save_now(logs)

    def _save_now(self, logs: Logs) -> None:
        value = self._value(logs)
        improved = value is not None and self._monitor.improved(value, self.best)
        if self.save_best_only and not improved:
            if value is not None:
                self._tell(logs, f"{self.monitor} did not improve from {_shown(self.best)}")
            return
        values = self._template.values(logs)
        path = self._template.path(values)
        if path.is_dir():
            raise IsADirectoryError(f"filepath must be a file, got the directory '{path}'")
        if self.save_best_only:
            change = f"from {_shown(self.best)} to {_shown(value)}"
            self._tell(logs, f"{self.monitor} improved {change}, saving model to {path}")
        else:
            self._tell(logs, f"saving model to {path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        best = value if improved else self.best
        if self.save_in_background:
            state = self.model.snapshot(weights_only=self.save_weights_only)
            self._copy = copy_state(state, into=self._copy)
            self._writing.submit(self._write, partial(storage.save, state=self._copy), path, values, best)
        else:
            save = self.model.save_weights if self.save_weights_only else self.model.save
            self._write(partial(save, overwrite=True), path, values, best)

    def _write(self, save: Callable[[Path], object], path: Path, values: Values, best: float | None) -> None:
        save(path)
        # Only now: after an error, a later value is compared with that of the file that is there.
        improved, self.best, self.failures = best != self.best, best, 0
        if improved:
            self._best_saved = values
        # By path, not by values: rounded in the name, two values may be one file.
        self._saved.pop(path, None)
        self._saved[path] = values
        self._point(path, improved)
        self._delete_old()

    def _value(self, logs: Logs) -> float | None:
        if self.save_best_only:
            return self._monitor.read(logs)
        # The best is only informative here: a missing value is no error.
        known = self._monitor.direction is not None and isinstance(logs.get(self.monitor), (int, float))
        return float(logs[self.monitor]) if known else None

    def _point(self, path: Path, improved: bool) -> None:
        if not self._template.fields_in_name:
            return
        for pointer in ("latest", "best") if improved else ("latest",):
            write_atomic(path.parent / pointer, [os.fsencode(path.name) + b"\n"])

    def _delete_old(self) -> None:
        if self.max_to_keep is None:
            return
        best = None if self._best_saved is None else self._template.path(self._best_saved)
        for path in list(self._saved)[: -self.max_to_keep]:
            if path != best and _delete(path):
                del self._saved[path]

    def _tell(self, logs: Logs, text: str) -> None:
        if self.verbose:
            # A line break first: the line may hold a progress bar.
            print(f"\nEpoch {logs['epoch']}: {text}")

    # -- resume

    def state_dict(self) -> State:
        """Return the best value, and the field values of the files on disk, after waiting for them."""
        self._writing.flush()
        return {
            "best": self.best,
            "batches_since": self._batches_since,
            "saved": [dict(values) for values in self._saved.values()],
            "best_saved": self._best_saved,
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from a `state_dict`; raise StateError if it is invalid."""
        nothing = type(None)
        self.best, self._batches_since, saved, best = validate_state(
            state, best=(float, nothing), batches_since=int, saved=list, best_saved=(dict, nothing)
        )
        # Numbers, not paths, so that a state file cannot name a file to delete.
        # Values of a template with other fields are ignored.
        fields = set(self._template.fields)
        ours = [self._template.values(one) for one in saved if set(one) == fields]
        self._saved = {self._template.path(values): values for values in ours}
        self._best_saved = self._template.values(best) if best is not None and set(best) == fields else None
        self.failures = 0 if self._saved else None


def _delete(path: Path) -> bool:
    """Delete a file; if that fails, warn and return False."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        warnings.warn(
            f"could not delete the old file '{path}': {error.strerror}", OnstageWarning, stacklevel=2
        )
        return False
    return True


def _shown(value: float | None) -> str:
    return "None" if value is None else f"{value:.5f}"
