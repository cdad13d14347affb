"""TensorBoard: the callback. The other modules make the content of the files."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from onstage import Callback
from onstage.logs import Logs
from onstage.model import State
from onstage.validation import validate_bool, validate_int, validate_state
from onstage_tensorboard import model_description
from onstage_tensorboard.event_log import EventLog
from onstage_tensorboard.profiling import BatchProfile, batch_range
from onstage_tensorboard.validation import validate_hparams, validate_update_freq


class TensorBoard(Callback):
    """Write event files for TensorBoard: ``tensorboard --logdir logs``.

    The runs ``train`` and ``validation``, their tags and steps are those of
    Keras. Steps continue over a second ``fit`` of one instance, and over a
    resume, which first removes the events written after the resumed state was
    saved. A background thread writes the files; they are complete when ``fit``
    returns. A write error is a warning, and training continues without this
    callback.

    Parameters
    ----------
    log_dir
        Directory, which is made. Each training should have its own.
    histogram_freq
        Epochs between histograms of the weights; 0: never. Epoch 0 has one.
    write_graph
        Write the layers as a graph, if the model has ``layers``, and a table of
        the weights.
    write_images
        Write the weights as grey images together with the histograms.
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
        self.write_steps_per_second = validate_bool("write_steps_per_second", write_steps_per_second)
        self.update_freq = validate_update_freq(update_freq)
        self.profile_batch = profile_batch
        self.embeddings_freq = validate_int("embeddings_freq", embeddings_freq, 0)
        self.embeddings_metadata = embeddings_metadata
        self.hparams = validate_hparams(hparams)
        self._event_log = EventLog(self.log_dir)
        self._described = False
        self._train_batches = 0
        self._next_step = 0
        self._shift: int | None = None
        self._profiled = batch_range(profile_batch)
        self._profile = BatchProfile()
        if self.update_freq == "epoch" and not self._profiled[0]:
            self.skips = (TensorBoard.on_train_batch_end,)  # so that no logs of batches are computed

    def set_model(self, model: Any) -> None:
        """Receive the model; raise ValueError if it has no such embeddings."""
        if model is not self.model:
            self._described = False
        super().set_model(model)
        if self.embeddings_freq:
            self._embeddings = model_description.embedding_layers(model, self.embeddings_metadata)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget where the steps of the last training began."""
        self._shift = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Continue the steps of an earlier training."""
        if self._shift is None:
            self._shift = max(0, self._next_step - epoch)
        self._epoch_began = time.perf_counter(), self._train_batches

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Count the batch, take the time, start the profiler."""
        self._train_batches += 1
        self._batch_began = time.perf_counter()
        if self._train_batches == self._profiled[0]:
            self._profile.start()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Write the profile, and every `update_freq` batches their metrics."""
        if self._profile.running and self._train_batches >= self._profiled[1]:
            profile = self._profile.stop()
            self._for_train().text(self._train_batches, "profile_batch", profile)
        if self.update_freq == "epoch" or self._train_batches % self.update_freq:
            return
        values = _numbers(logs)
        if self.write_steps_per_second:
            values["steps_per_second"] = _rate(1, self._batch_began)
        self._for_train().scalars("train", self._train_batches, "batch_{}", values)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Write the metrics of an evaluation over the optimizer's steps."""
        iterations = getattr(getattr(self.model, "optimizer", None), "iterations", self._train_batches)
        self._event_log.scalars("validation", int(iterations), "evaluation_{}_vs_iterations", _numbers(logs))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the epoch's metrics, weights and embeddings."""
        step = epoch + (self._shift or 0)
        self._next_step = max(self._next_step, step + 1)
        self._write_metrics(step, _numbers(logs))
        if _due(self.histogram_freq, epoch):
            self._for_train().weights(step, self.model, self.write_images)
        if _due(self.embeddings_freq, epoch):
            tables = {layer: model_description.embedding_of(self.model, layer) for layer in self._embeddings}
            self._for_train().embeddings(step, tables)

    def _write_metrics(self, step: int, logs: Mapping[str, float]) -> None:
        train = {name: value for name, value in logs.items() if not name.startswith("val_")}
        validation = {name[4:]: value for name, value in logs.items() if name.startswith("val_")}
        if hasattr(self.model, "learning_rate"):
            train.setdefault("learning_rate", float(self.model.learning_rate))
        if self.write_steps_per_second:
            began, batches = self._epoch_began
            train["steps_per_second"] = _rate(self._train_batches - batches, began)
        self._for_train().scalars("train", step, "epoch_{}", train)
        self._event_log.scalars("validation", step, "epoch_{}", validation)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Mark the training as successful in the HParams tab."""
        self._end_session(succeeded=True)

    def on_exception(self) -> None:
        """Mark the training as failed in the HParams tab."""
        self._end_session(succeeded=False)

    def _end_session(self, succeeded: bool) -> None:
        if self.hparams and self._event_log.is_open:
            self._event_log.session_end(succeeded)

    def on_teardown(self) -> None:
        """Write the remaining events and close the files."""
        if self._profile.running:
            self._profile.stop()
        self._event_log.close()

    def _for_train(self) -> EventLog:
        """Return the event log, after writing the model and hyperparameters once.

        They are written with the first event, not when training begins: by
        then a resumed state, which knows whether they exist, is loaded.
        """
        if not self._described:
            self._described = True
            self._describe()
        return self._event_log

    def _describe(self) -> None:
        if self.write_graph and hasattr(self.model, "get_weights"):
            graph = model_description.graph_of(self.model)
            if graph is not None:
                self._event_log.graph(graph)
            self._event_log.text(0, "model", model_description.table_of(self.model))
        if self.hparams:
            self._event_log.session_start(self.hparams)
        if self.embeddings_freq:
            self._event_log.projector(self._embeddings)

    def state_dict(self) -> State:
        """Return the steps and the lengths of the files, after writing them to disk."""
        return {
            "train_batches": self._train_batches,
            "next_step": self._next_step,
            "shift": self._shift,
            "described": self._described,
            "event_log": self._event_log.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Continue the steps of the saved training; remove the events that it wrote later."""
        train_batches, next_step, shift, described, event_log = validate_state(
            state, train_batches=int, next_step=int, shift=(int, type(None)), described=bool, event_log=dict
        )
        self._event_log.load_state_dict(event_log)
        self._train_batches, self._next_step = train_batches, next_step
        self._shift, self._described = shift, described


def _due(freq: int, epoch: int) -> bool:
    return freq > 0 and epoch % freq == 0


def _rate(steps: int, began: float) -> float:
    return steps / max(time.perf_counter() - began, 1e-9)


def _numbers(logs: Logs | None) -> dict[str, float]:
    """Return the values that are numbers: no arrays, no strings."""
    numbers = {}
    for name, value in (logs or {}).items():
        if isinstance(value, float):
            numbers[name] = value
        elif not isinstance(value, (str, bytes)):
            try:
                numbers[name] = float(value)
            except (TypeError, ValueError):
                continue
    return numbers
