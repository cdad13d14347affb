"""ModelCheckpoint: save the model at intervals, or when it is the best so far."""

from __future__ import annotations

from functools import partial
from os import PathLike
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from onstage import Callback, Logs
from onstage.callbacks.monitor import Monitor
from onstage.model import State
from onstage.state import copy_state
from onstage.state.background import Background
from onstage.validation import (
    validate_bool,
    validate_int,
    validate_optional_float,
    validate_state,
    validate_verbosity,
)
from onstage_model_checkpoint.files import CheckpointFiles, snapshot_writer
from onstage_model_checkpoint.messages import shown, tell
from onstage_model_checkpoint.save_freq import parse_save_freq, read_value
from onstage_model_checkpoint.template import Template, numbered

__all__ = ["ModelCheckpoint"]


class ModelCheckpoint(Callback):
    """Save the model or its weights during training.

    The model chooses the format by the suffix. A file is replaced once the new
    one is safe on disk. If the file name in `filepath` has fields, two files
    beside the checkpoints, ``latest`` and ``best``, hold the names of the
    newest and the best one (``best`` only if the monitor is in the logs). Each
    ModelCheckpoint with such a file name needs its own directory.

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
    monitor_op
        ``numpy.less`` or ``numpy.greater``; None before training, or if the
        direction is unknown.

    Notes
    -----
    A subclass may override `get_file_path`, `should_save_model` and
    `save_model`, or the same names with a leading underscore, as in Keras.

    Raises
    ------
    TypeError, ValueError
        An argument or the template is invalid; at the start of training, if a
        field, or the monitor of save_best_only, is not among the metrics, or if
        the model can't write files with this suffix.
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
        self.max_to_keep = None if max_to_keep is None else validate_int("max_to_keep", max_to_keep, 1)
        self.filepath = filepath
        self._monitor = Monitor(monitor, mode)
        self.monitor = monitor
        self.verbose = validate_verbosity(verbose)
        self.save_best_only = validate_bool("save_best_only", save_best_only)
        self.save_weights_only = validate_bool("save_weights_only", save_weights_only)
        self.mode = mode
        self.save_freq = save_freq
        if "batch" in self._template.fields and not self._batches:
            raise ValueError("filepath must have {batch} only if save_freq is a number of batches")
        self.best = validate_optional_float("initial_value_threshold", initial_value_threshold)
        self.initial_value_threshold = self.best
        self.save_in_background = validate_bool("save_in_background", save_in_background)
        self.needs = ("save_weights",) if save_weights_only else ("save",)
        if save_in_background:
            self.needs = ("snapshot", *self.needs)
        self._writing = Background("onstage-model-checkpoint")
        self._copy: State | None = None
        self._batches_since = 0
        self._epoch = 0
        self.monitor_op: np.ufunc | None = None

    @property
    def filepath(self) -> str:
        """Template of the paths; once it is set anew, earlier files are kept."""
        return self._template.text

    @filepath.setter
    def filepath(self, filepath: str | PathLike[str]) -> None:
        self._template = Template(filepath)
        self._files = CheckpointFiles(self._template, self.max_to_keep)

    @property
    def save_freq(self) -> str | int:
        """Epochs or batches between two saves; set it before training, or epochs at any time."""
        return self._save_freq

    @save_freq.setter
    def save_freq(self, save_freq: str | int) -> None:
        self._epochs, self._batches = parse_save_freq(save_freq)
        self._save_freq = save_freq
        self.skips = () if self._batches else (ModelCheckpoint.on_train_batch_end,)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Check the monitor and the template's fields against the metrics."""
        self.failures = None
        self._monitor = Monitor(self.monitor, self.mode)  # they may have been set since
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
        self.monitor_op = self._monitor.op
        self._template.check_fields(self, batches=bool(self._batches))
        if getattr(self.model, "built", True):
            snapshot_writer(self.model, self.filepath, self.save_weights_only)  # raises for a foreign suffix

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Remember the epoch for the file names."""
        self._epoch = epoch
        self._writing.check()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save after every `save_freq` batches."""
        if not self._batches:
            return
        self._batches_since += 1
        if self._batches_since >= self._batches:
            self._batches_since = 0
            self._save_model(self._epoch, batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save after every `save_freq` epochs."""
        if self._epochs and (epoch + 1) % self._epochs == 0:
            self._save_model(epoch, None, logs or {})

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Wait until all files are on disk."""
        self._writing.flush()

    def on_teardown(self) -> None:
        """Wait for the files after an error too, and end the thread."""
        self._copy = None
        self._writing.close()

    # -- saving: what a subclass may override or call

    def save_model(self, epoch: int, batch: int | None, logs: Logs) -> None:
        """Save the model if `should_save_model` returns True.

        Parameters
        ----------
        epoch, batch
            From 0; batch is None at the end of an epoch.
        logs
            Logs of the stage.
        """
        filepath = self._get_file_path(epoch, batch, logs)
        value = read_value(self._monitor, logs, required=self.save_best_only)
        is_best = value is not None and self._monitor.improved(value, self.best)
        if not self._should_save_model(epoch, batch, logs, filepath):
            return
        path = Path(filepath)
        if path.is_dir():
            raise IsADirectoryError(f"filepath must be a file, got the directory '{path}'")
        path.parent.mkdir(parents=True, exist_ok=True)
        values, files = self._template.values(numbered(epoch, batch, logs)), self._files
        if self.save_in_background:
            state = self.model.snapshot(weights_only=self.save_weights_only)
            self._copy = copy_state(state, into=self._copy)
            save = partial(snapshot_writer(self.model, path, self.save_weights_only), state=self._copy)
        else:
            now = self.model.save_weights if self.save_weights_only else self.model.save
            save = partial(now, overwrite=True)

        def write() -> None:
            save(path)
            # Only now: after an error, a later value is compared with that of the file that is there.
            self.best, self.failures = value if is_best else self.best, 0
            files.add(path, values, is_best=is_best)
            tell(self.verbose, epoch, f"finished saving model to {filepath}")

        if self.save_in_background:
            self._writing.submit(write)
        else:
            write()

    def get_file_path(self, epoch: int, batch: int | None, logs: Logs) -> str:
        """Return the path of a file; raise ValueError if the logs lack one of its fields."""
        return str(self._template.path(self._template.values(numbered(epoch, batch, logs))))

    def should_save_model(self, epoch: int, batch: int | None, logs: Logs, filepath: str) -> bool:
        """Return whether to save now: always, or with save_best_only if the monitor improved."""
        text = f"saving model to {filepath}"
        if self.save_best_only:
            value = self._monitor.read(logs)
            if value is None:
                return False
            if not self._monitor.improved(value, self.best):
                tell(self.verbose, epoch, f"{self.monitor} did not improve from {shown(self.best)}")
                return False
            text = f"{self.monitor} improved from {shown(self.best)} to {shown(value)}, {text}"
        tell(self.verbose, epoch, text)
        return True

    # Keras's names of these three: subclasses that were written for Keras override and call them.

    def _save_model(self, epoch: int, batch: int | None, logs: Logs) -> None:
        try:
            # Write the previous file first, so that there is only one copy of the weights.
            self._writing.flush()
        finally:  # An error of the previous file doesn't cost this one too.
            self.save_model(epoch, batch, logs)

    def _get_file_path(self, epoch: int, batch: int | None, logs: Logs) -> str:
        return self.get_file_path(epoch, batch, logs)

    def _should_save_model(self, epoch: int, batch: int | None, logs: Logs, filepath: str) -> bool:
        return self.should_save_model(epoch, batch, logs, filepath)

    def state_dict(self) -> State:
        """Return the best value, and the field values of the files on disk, after waiting for them."""
        self._writing.flush()
        return {"best": self.best, "batches_since": self._batches_since, **self._files.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Continue from a `state_dict`; raise StateError if it is invalid."""
        best, batches_since = validate_state(state, best=(float, type(None)), batches_since=int)
        self._files.load_state_dict(state)
        self.best, self._batches_since = best, batches_since
        self.failures = 0 if len(self._files) else None
