"""ModelCheckpoint: saves the model at intervals, or when it is the best so far."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Literal

from onstage import Callback, Logs
from onstage.callbacks.monitor import Monitor
from onstage.model import State
from onstage.state import copy_state, storage
from onstage.state.atomic import keep_newest, write_pointer
from onstage.state.background import Background
from onstage.validation import (
    validate_bool,
    validate_int,
    validate_optional_float,
    validate_state,
    validate_verbosity,
)
from onstage_model_checkpoint.template import Template, Values

__all__ = ["ModelCheckpoint"]


class ModelCheckpoint(Callback):
    """Save the model, or its weights, while it trains.

    Files are safetensors whatever their suffix, checksummed, and replaced
    only when the new one is safe on disk. Where `filepath` has fields in the
    file's name, two pointer files beside the checkpoints hold the name of the
    latest and of the best: ``latest`` and ``best``, the latter when the monitor
    is in the logs. Give each ModelCheckpoint that makes several files a
    directory of its own.

    Parameters
    ----------
    filepath
        May have the fields ``{epoch}`` and ``{batch}``, which count from 1,
        and metrics: ``"{epoch:02d}-{val_loss:.3f}"``. Without a suffix it gets
        ``.safetensors``. Directories are made when the first file is saved.
    monitor
        The metric that decides what is best.
    verbose
        1 prints each decision.
    save_best_only
        Save only when the monitor has improved.
    save_weights_only
        Save the weights without configuration and optimizer.
    mode
        ``"min"``, ``"max"`` or ``"auto"``.
    save_freq
        ``"epoch"``; ``"5 epochs"``; or a number of training batches, counted
        across epochs.
    initial_value_threshold
        The best value to begin with.
    max_to_keep
        Delete all but so many of the newest files that this callback saved, and
        the best one; None keeps them all.
    save_in_background
        Copy the weights in the stage, and write them by a thread while the
        training goes on. The file is there when the next one is saved, when
        the training ends, and when the run's state is taken, not when the
        stage is over; an error of the writing comes out of one of these, or of
        the next on_epoch_begin. It takes the memory of one copy until the
        training ends; the first save, which takes it, is the slowest.

    Attributes
    ----------
    best
        The best value so far. It outlives a training: a second ``fit`` must
        better it.

    Raises
    ------
    TypeError, ValueError
        An argument is of a wrong kind or out of its range, the template
        included; at the beginning of the training, when a field or the monitor
        of save_best_only is not among the metrics.
    OSError
        A file can't be written; the one that it was to replace is untouched.
    """

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
        self._epochs, self._batches = _frequency(save_freq)
        if "batch" in self._template.fields and not self._batches:
            raise ValueError("filepath must have {batch} only where save_freq is a number of batches")
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
        if self._batches:
            # On the instance: without batches to count, none of them costs a call.
            self.on_train_batch_end = self._count_batch  # type: ignore[method-assign]  # meant

    def on_train_begin(self) -> None:
        """Check the monitor and the template's fields against the metrics."""
        run = self.run
        names = None if run is None else run.metric_names
        if self.save_best_only:
            self._monitor.resolve(self)
            if self._batches and names is not None and self.monitor.startswith("val_"):
                raise ValueError(
                    f"monitor must be a metric of the training for save_freq={self.save_freq}, "
                    f"got {self.monitor!r}; validation comes after the last batch"
                )
        else:
            self._monitor.direction = self._monitor.direction_for(self.model)
        self._template.check_fields(self, batches=bool(self._batches))

    def on_epoch_begin(self, epoch: int) -> None:
        """Keep the epoch for the names of the files."""
        self._writing.check()
        self._epoch = epoch

    def _count_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batches_since += 1
        if self._batches_since >= self._batches:
            self._batches_since = 0
            self._save({"batch": batch + 1, **(logs or {}), "epoch": self._epoch + 1})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, if it is an epoch for it."""
        if self._epochs and (epoch + 1) % self._epochs == 0:
            self._save({**(logs or {}), "epoch": epoch + 1})

    def on_train_end(self) -> None:
        """Wait until all is on disk."""
        self._writing.flush()

    def on_teardown(self) -> None:
        """Wait for it after an error too, and end the thread."""
        self._copy = None
        self._writing.close()

    # -- saving

    def _save(self, logs: Logs) -> None:
        # The one before first: there is never more than one copy of the weights.
        self._writing.flush()
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
        if self.save_in_background:
            state = self.model.snapshot(weights_only=self.save_weights_only)
            self._copy = copy_state(state, into=self._copy)
            self._writing.submit(self._write, partial(storage.save, state=self._copy), path, values, improved)
        else:
            save = self.model.save_weights if self.save_weights_only else self.model.save
            self._write(partial(save, overwrite=True), path, values, improved)
        if improved:
            self.best = value

    def _write(self, save: Callable[[Path], object], path: Path, values: Values, improved: bool) -> None:
        save(path)
        if improved:
            self._best_saved = values
        # By path and not by values: rounded in a name, two of these may be one file.
        self._saved.pop(path, None)
        self._saved[path] = values
        self._point(path, improved)
        self._delete_old()

    def _value(self, logs: Logs) -> float | None:
        if self.save_best_only:
            return self._monitor.read(logs)
        # Nobody asked for the best: what is missing or can't be compared is no matter.
        known = self._monitor.direction is not None and isinstance(logs.get(self.monitor), (int, float))
        return float(logs[self.monitor]) if known else None

    def _point(self, path: Path, improved: bool) -> None:
        if not self._template.fields_in_name:
            return
        write_pointer(path.parent / "latest", path.name)
        if improved:
            write_pointer(path.parent / "best", path.name)

    def _delete_old(self) -> None:
        if self.max_to_keep is None:
            return
        best = None if self._best_saved is None else self._template.path(self._best_saved)
        paths = list(self._saved)
        old, newest = paths[: -self.max_to_keep], paths[-self.max_to_keep :]
        going = [path for path in old if path != best]
        left = keep_newest([*going, *newest], self.max_to_keep)
        for path in set(going) - set(left):
            del self._saved[path]

    def _tell(self, logs: Logs, what: str) -> None:
        if self.verbose:
            # A line break first: a progress bar may stand on the line.
            print(f"\nEpoch {logs['epoch']}: {what}")

    # -- resume

    def state_dict(self) -> State:
        """Give the best value, and what the names of the files on disk are made of."""
        self._writing.flush()
        return {
            "best": self.best,
            "batches_since": self._batches_since,
            "saved": [dict(values) for values in self._saved.values()],
            "best_saved": self._best_saved,
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from what `state_dict` gave; raises StateError for anything else."""
        nothing = type(None)
        self.best, self._batches_since, saved, best = validate_state(
            state, best=(float, nothing), batches_since=int, saved=list, best_saved=(dict, nothing)
        )
        # Numbers, not paths: a state file can't name a file to be deleted. Those
        # of a template with other fields mean nothing here.
        fields = set(self._template.fields)
        ours = [self._template.values(one) for one in saved if set(one) == fields]
        self._saved = {self._template.path(values): values for values in ours}
        self._best_saved = self._template.values(best) if best is not None and set(best) == fields else None


def _shown(value: float | None) -> str:
    return "None" if value is None else f"{value:.5f}"


def _frequency(save_freq: Any) -> tuple[int, int]:
    """Give how many epochs, or else batches, lie between two saves; 0 for the other."""
    if isinstance(save_freq, int) and not isinstance(save_freq, bool):
        return 0, validate_int("save_freq", save_freq, 1)
    if save_freq == "epoch":
        return 1, 0
    match = re.fullmatch(r"([1-9]\d*) epochs?", save_freq) if isinstance(save_freq, str) else None
    if match is None:
        raise ValueError(
            f"save_freq must be 'epoch', '5 epochs' or a number of batches >= 1, got {save_freq!r}"
        )
    return int(match[1]), 0
