"""Tracker: the base class of callbacks that log a training to an experiment tracker.

A subclass says how its tracker starts a run, logs points, saves a file and
finishes; the base decides when and on which thread::

    class Memory(Tracker):
        def start(self, run_id, params, tags):
            self.points = []
            return run_id or "1"

        def log(self, points):
            self.points += points

        def save_file(self, path, name): ...

        def finish(self, status, summary): ...
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

from onstage.callbacks._base import Callback
from onstage.callbacks._run_description import collect_params, collect_tags, numbers_of
from onstage.errors import OnstageWarning
from onstage.logs import Logs
from onstage.model import State
from onstage.state.background import BackgroundQueue
from onstage.validation import validate_bool, validate_int, validate_state

__all__ = ["Paths", "Point", "Status", "Tracker", "collect_params", "collect_tags"]

Status: TypeAlias = Literal["finished", "failed", "killed"]
Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

_WAITING, _INTERVAL = 8192, 0.5


class Point(NamedTuple):
    """Values of one moment.

    Attributes
    ----------
    kind
        ``"epoch"`` or ``"batch"``.
    step
        Number of the epoch, from 0; or of the batch, from 1 and across epochs.
    time
        Seconds since 1970.
    values
        Name to number.
    """

    kind: Literal["epoch", "batch"]
    step: int
    time: float
    values: dict[str, float]


class Tracker(Callback, ABC):
    """Log a training to an experiment tracker; base class.

    Each training is one run of the tracker: params and tags when it starts,
    metrics of every epoch from a background thread, files when it ends, however
    it ends. A resumed training continues its run. If the tracker fails, training
    continues without it, with a warning.

    Parameters
    ----------
    params
        Further params: name to value. They are logged beside the sizes of the
        training, the loss and the optimizer of the model and the options of the
        callbacks; without those whose names are those of secrets (``token``).
    tags
        Further tags: name to text. They are logged beside the versions of
        onstage and of the packages of the callbacks.
    update_freq
        ``"epoch"``: log no metrics of batches. ``"batch"`` or 1: those of every
        batch, as ``batch_loss``; n: those of every n-th batch.
    artifacts
        Files and directories, such as that of a ModelCheckpoint, to save at the end.
    log_model
        Whether to save the trained model too, as ``model/model.safetensors``.

    Attributes
    ----------
    run_id
        Identifier of the run in the tracker; empty before it starts.
    """

    on_error: Literal["raise", "disable", "retry"] = "disable"
    ranks: ClassVar[Literal["zero", "all"]] = "zero"
    adds_logs: ClassVar[tuple[str, ...] | None] = ()
    optional: tuple[str, ...] = ("batches",)

    def __init__(
        self,
        *,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        update_freq: int | Literal["batch", "epoch"] = "epoch",
        artifacts: Paths = (),
        log_model: bool = False,
    ) -> None:
        self.further_params, self.further_tags = dict(params or {}), dict(tags or {})
        self.update_freq = update_freq
        self._every = _batches(update_freq)
        self.artifacts = [artifacts] if isinstance(artifacts, (str, os.PathLike)) else list(artifacts)
        self.log_model = validate_bool("log_model", log_model)
        if log_model:
            self.needs = ("save",)
        if not self._every:
            self.skips = (Tracker.on_train_batch_end,)  # so that no logs of batches are computed
        self.run_id = ""
        self._batch_count = 0
        self._status: Status = "failed"
        self._is_open = self._has_failed = False
        name = f"onstage-{type(self).__name__.lower()}"
        self._queue: BackgroundQueue[Point] = BackgroundQueue(name, self._log, _WAITING, interval=_INTERVAL)

    # -- what a subclass implements

    def connect(self) -> None:
        """Import the tracker's package; called when a training begins."""

    @abstractmethod
    def start(self, run_id: str, params: dict[str, Any], tags: dict[str, str]) -> str:
        """Start a run, or continue the run `run_id` unless that is empty; return its identifier."""

    @abstractmethod
    def log(self, points: Sequence[Point]) -> None:
        """Log points, oldest first; called by the background thread."""

    @abstractmethod
    def save_file(self, path: Path, name: str) -> None:
        """Save a file under a name, ``"runs/01.safetensors"``; called before `finish`."""

    @abstractmethod
    def finish(self, status: Status, summary: dict[str, str]) -> None:
        """End the run; `summary` says why the training was stopped. Called after any `start`."""

    # -- stages

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Import the tracker's package, and forget the run of an earlier training."""
        self.run_id, self._batch_count, self._status = "", 0, "failed"
        self._has_failed = False
        self.connect()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Start the run, unless a saved one is still to be loaded, after this stage."""
        if not getattr(self.run, "resumed", False) or self.run_id:
            self._start()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Log every `update_freq` batches their metrics."""
        self._batch_count += 1
        if self._every and self._batch_count % self._every == 0:
            values = {f"batch_{name}": value for name, value in numbers_of(logs).items()}
            self._put("batch", self._batch_count, values)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Log the epoch's metrics and the learning rate."""
        values = numbers_of(logs)
        if "learning_rate" not in values:
            values |= numbers_of({"learning_rate": getattr(self.model, "learning_rate", None)})
        self._put("epoch", epoch, values)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Save the trained model."""
        self._status = "finished"
        if self.log_model and self._is_open:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "model.safetensors")
                self.model.save(path)
                self.save_file(path, "model/model.safetensors")

    def on_exception(self, exception: BaseException) -> None:
        """Note whether the training failed or was interrupted."""
        self._status = "failed" if isinstance(exception, Exception) else "killed"

    def on_teardown(self) -> None:
        """Log the remaining points, save the files, end the run."""
        if not self._is_open or self._queue.is_forked:
            return
        self._is_open = False
        try:
            self._queue.close()
            if not self._has_failed:
                self._save_artifacts()
        finally:
            self.finish(self._status, self._summary())

    # -- the run of the tracker

    def _start(self) -> None:
        if not self._is_open:
            run = self.run
            assert run is not None
            params = collect_params(run, self, self.further_params)
            tags = collect_tags(run, self.further_tags)
            self.run_id = self.start(self.run_id, params, tags)
            self._is_open = True

    def _put(self, kind: Literal["epoch", "batch"], step: int, values: dict[str, float]) -> None:
        self._start()
        if values and not self._queue.is_forked:
            self._queue.put(Point(kind, step, time.time(), values))

    def _log(self, points: list[Point]) -> None:
        if not points:
            return
        try:
            self.log(points)
        except BaseException:
            self._has_failed = True
            raise

    def _summary(self) -> dict[str, str]:
        run = self.run
        found = {name: getattr(run, name, None) for name in ("stop_reason", "stopped_by")}
        return {name: str(value) for name, value in found.items() if value is not None}

    def _save_artifacts(self) -> None:
        for artifact in self.artifacts:
            for path, name in _files(Path(artifact)):
                self.save_file(path, name)

    # -- resume

    def state_dict(self) -> State:
        """Return the run's identifier and the number of batches, after logging all points."""
        self._queue.sync()
        return {"run_id": self.run_id, "batches": self._batch_count}

    def load_state_dict(self, state: State) -> None:
        """Continue the saved run."""
        self.run_id, self._batch_count = validate_state(state, run_id=str, batches=int)


def _batches(update_freq: object) -> int:
    """Return the number of batches between two points; 0 for none."""
    if update_freq == "epoch":
        return 0
    if isinstance(update_freq, str) and update_freq != "batch":
        raise ValueError(f"update_freq must be 'epoch', 'batch' or a number of batches, got {update_freq!r}")
    return 1 if update_freq == "batch" else validate_int("update_freq", update_freq, 1)


def _files(artifact: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files of an artifact, with their names in the tracker."""
    if artifact.is_dir():
        for path in sorted(path for path in artifact.rglob("*") if path.is_file()):
            yield path, f"{artifact.name}/{path.relative_to(artifact).as_posix()}"
    elif artifact.is_file():
        yield artifact, artifact.name
    else:
        missing = f"the artifact {str(artifact)!r} does not exist at the end of the training"
        warnings.warn(f"{missing}; nothing is saved of it", OnstageWarning, stacklevel=2)
