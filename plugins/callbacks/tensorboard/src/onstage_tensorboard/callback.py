"""TensorBoard: the callback. The other modules make the content of the files."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from onstage import Callback
from onstage.context import RunContext
from onstage.logs import Logs
from onstage.model import State
from onstage.state import copy_state
from onstage.validation import validate_bool, validate_int, validate_state
from onstage_tensorboard import model_description
from onstage_tensorboard.event_log import EventLog
from onstage_tensorboard.profiling import BatchProfile
from onstage_tensorboard.validation import batch_range, numbers_of, validate_hparams, validate_update_freq

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter  # type: ignore[import-untyped]  # it has no types


class TensorBoard(Callback):
    """Write event files for TensorBoard: ``tensorboard --logdir logs``.

    The runs ``train`` and ``validation``, their tags and steps are those of
    Keras. Steps continue over a second ``fit`` of one instance, and over a
    resume, which first removes the events written after the resumed state was
    saved. A background thread writes the files; they are complete when ``fit`` returns.
    If they cannot be written any more, training continues without them.

    Parameters
    ----------
    log_dir
        Directory, which is made; one for each training. One that cannot be
        written, or is in use by another training, is refused at the start.
    histogram_freq
        Epochs between histograms of the weights; 0: never. Epoch 0 has one.
    write_graph
        Write the layers as a graph, if the model has ``layers``, and a table of
        the weights.
    write_images
        Write the weights as grey images together with the histograms; needs
        Pillow, ``pip install "onstage-tensorboard[images]"``.
    write_steps_per_second
        Write the rate of each epoch, and of each batch that is written.
    update_freq
        ``"epoch"``: write no metrics of batches. ``"batch"`` or 1: those of
        every batch; n: those of every n-th batch.
    profile_batch
        Batches, counted from 1, that run under Python's profiler: ``5``,
        ``(5, 8)``. 0: none.
    embeddings_freq
        Epochs between writes of the embeddings for the Projector tab; 0: never.
    embeddings_metadata
        Layer to file of labels in ``log_dir``, or one file for all layers.
    hparams
        Hyperparameters for the HParams tab: name to bool, number or str.

    Examples
    --------
    >>> board = TensorBoard("logs", histogram_freq=1, hparams={"units": 32})
    >>> board.update_freq
    'epoch'

    In another callback: ``board.writer.add_figure("digits", figure, epoch)``.

    References
    ----------
    Keras 3, ``keras.callbacks.TensorBoard``.
    """

    on_error: Literal["raise", "disable"] = "disable"
    ranks: ClassVar[Literal["zero", "all"]] = "zero"
    adds_logs: ClassVar[tuple[str, ...]] = ()
    optional = ("batches",)

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: int | Literal["batch", "epoch"] = "epoch",
        profile_batch: int | str | tuple[int, int] = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: str | Mapping[str, str] | None = None,
        *,
        hparams: Mapping[str, bool | int | float | str] | None = None,
    ) -> None:
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = validate_int("histogram_freq", histogram_freq, 0)
        if self.histogram_freq:
            self.needs = ("get_weights",)
        self.write_graph = validate_bool("write_graph", write_graph)
        self.write_images = validate_bool("write_images", write_images)
        if write_images and find_spec("PIL") is None:
            raise ImportError('write_images needs Pillow: pip install "onstage-tensorboard[images]"')
        self.write_steps_per_second = validate_bool("write_steps_per_second", write_steps_per_second)
        self.update_freq = validate_update_freq(update_freq)
        self.profile_batch = profile_batch
        self.embeddings_freq = validate_int("embeddings_freq", embeddings_freq, 0)
        self.embeddings_metadata = embeddings_metadata
        self.hparams = validate_hparams(hparams)
        self._log = EventLog(self.log_dir)
        self._over = self._described = self._refused = False
        self._train_batches = self._next_step = 0
        self._shift: int | None = None
        self._profile = BatchProfile(*batch_range(profile_batch))
        self._writers: dict[str, SummaryWriter] = {}
        self._spare: list[Any] = []
        if self.update_freq == "epoch" and not self._profile.first:
            self.skips = (TensorBoard.on_train_batch_end,)  # so that no logs of batches are computed

    @property
    def writer(self) -> SummaryWriter:
        """``tensorboardX.SummaryWriter`` of the run ``train``, for other callbacks.

        The same thread writes its events, a resume cuts them off, and they are
        dropped if writing fails. Outside a run it is a RuntimeError.
        """
        return self._writer("train")

    @property
    def validation_writer(self) -> SummaryWriter:
        """``tensorboardX.SummaryWriter`` of the run ``validation``; see `writer`."""
        return self._writer("validation")

    def _writer(self, run: str) -> SummaryWriter:
        if self.run is None:
            later = f"for later events, make a tensorboardX.SummaryWriter({self.log_dir!r})"
            raise RuntimeError(f"writer must be used during a training or an evaluation; {later}")
        if not self._over:
            self._open()
        if run not in self._writers:
            from onstage_tensorboard.writer import RunWriter  # imported late: protobuf is slow to import

            self._writers[run] = RunWriter(self._log, run)
        return self._writers[run]

    def set_model(self, model: Any) -> None:
        """Receive the model; raise ValueError if it has no such embeddings."""
        if model is not self.model:
            self._described = False
        super().set_model(model)
        if self.embeddings_freq:
            files = self.embeddings_metadata
            self._embeddings = model_description.embedding_layers(model, files, self.log_dir)

    def set_run(self, run: RunContext | None) -> None:
        """Receive the run."""
        super().set_run(run)
        self._over = False
        if self._refused:
            self._refused = False
            del self.on_error

    def _open(self) -> None:
        """Open the log directory; its error ends the training, unlike that of a later event."""
        try:
            self._log.open()
        except (OSError, RuntimeError):
            if "on_error" not in vars(self):
                self._refused, self.on_error = True, "raise"
            raise

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the log directory, and forget where the steps of the last training began."""
        self._open()
        self._shift = None

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Open the log directory."""
        self._open()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Continue the steps of an earlier training."""
        if self._shift is None:
            self._shift = max(0, self._next_step - epoch)
        self._epoch_began = time.perf_counter(), self._train_batches

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Count the batch, take the time, start the profiler."""
        self._train_batches += 1
        self._batch_began = time.perf_counter()
        self._profile.begin(self._train_batches)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Write the profile, and every `update_freq` batches their metrics."""
        step = self._train_batches
        if report := self._profile.end(step):
            self._add("train", step, "text", "profile_batch", report)
        if self.update_freq == "epoch" or step % self.update_freq:
            return
        values = numbers_of(logs)
        if self.write_steps_per_second:
            values["steps_per_second"] = 1 / (time.perf_counter() - self._batch_began)
        self._add("train", step, "scalars", "batch_{}", values)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Write the metrics of an evaluation over the optimizer's steps."""
        step = int(getattr(getattr(self.model, "optimizer", None), "iterations", self._train_batches))
        self._add("validation", step, "scalars", "evaluation_{}_vs_iterations", numbers_of(logs))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the epoch's metrics, weights and embeddings."""
        step = epoch + (self._shift or 0)
        self._next_step = max(self._next_step, step + 1)
        self._write_metrics(step, numbers_of(logs))
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            spare = self._spare.pop() if self._spare else None
            weights = copy_state(dict(model_description.named_weights(self.model)), into=spare)
            self._add("train", step, "weights", weights, self.write_images, self._spare, heavy=True)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            tables = {name: model_description.embedding_of(self.model, name) for name in self._embeddings}
            write, folder = model_description.write_embeddings, Path(self.log_dir, "train")
            self._log.add("train", write, folder, tables, self._embeddings, heavy=True)

    def _write_metrics(self, step: int, logs: Mapping[str, float]) -> None:
        train = {name: value for name, value in logs.items() if not name.startswith("val_")}
        validation = {name[4:]: value for name, value in logs.items() if name.startswith("val_")}
        if hasattr(self.model, "learning_rate"):
            train.setdefault("learning_rate", float(self.model.learning_rate))
        if self.write_steps_per_second:
            began, batches = self._epoch_began
            train["steps_per_second"] = (self._train_batches - batches) / (time.perf_counter() - began)
        self._add("train", step, "scalars", "epoch_{}", train)
        self._add("validation", step, "scalars", "epoch_{}", validation)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Mark the training as successful in the HParams tab."""
        self._end_session(succeeded=True)

    def on_exception(self) -> None:
        """Mark the training as failed in the HParams tab."""
        self._end_session(succeeded=False)

    def _end_session(self, succeeded: bool) -> None:
        if self.hparams and self._described and self._log.is_open:
            self._add(".", 0, "session_end", time.time(), succeeded)

    def on_teardown(self) -> None:
        """Write the remaining events and close the files."""
        self._profile.stop()
        self._over = True
        self._log.close()
        self._spare.clear()

    def _add(self, run: str, step: int, tab: str, *args: Any, heavy: bool = False) -> None:
        """Write the event of a function in `summaries`.

        The first one in ``train`` also writes the model and hyperparameters. Not when
        training begins: by then a resumed state, which knows whether they exist, is loaded.
        """
        if run == "train" and not self._described:
            self._described = True
            self._describe()
        event, build = _event_and(tab)
        self._log.add(run, event, step, time.time(), build, *args, heavy=heavy)

    def _describe(self) -> None:
        if self.write_graph and hasattr(self.model, "get_weights"):
            if getattr(self.model, "layers", None):
                graph = model_description.graph_of(self.model)
                self._add("train", 0, "graph", graph)
                self._add("train", 0, "conceptual_graph", graph)
            self._add("train", 0, "text", "model", model_description.table_of(self.model))
        if self.hparams:
            self._add(".", 0, "session_start", self.hparams)

    def state_dict(self) -> State:
        """Return the steps and the lengths of the files, after writing them to disk."""
        steps = {"train_batches": self._train_batches, "next_step": self._next_step, "shift": self._shift}
        return {**steps, "described": self._described, "event_log": self._log.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Continue the steps of the saved training; remove the events that it wrote later."""
        train_batches, next_step, shift, described, event_log = validate_state(
            state, train_batches=int, next_step=int, shift=(int, type(None)), described=bool, event_log=dict
        )
        self._log.load_state_dict(event_log)
        self._train_batches, self._next_step, self._shift = train_batches, next_step, shift
        self._described = described

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_writers": {}, "_spare": []}


@cache
def _event_and(tab: str) -> tuple[Any, Any]:
    from onstage_tensorboard import summaries  # imported late: protobuf is slow to import

    return summaries.event, getattr(summaries, tab)
