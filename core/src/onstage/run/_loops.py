"""The iterators of a Run: they open a stage, and close it at the next turn.

Objects and not generators: a generator cannot tell a ``break`` from an error.
What a ``break`` leaves open is closed by whatever is opened next, or by the end
of the ``with`` block; after an error nothing is closed, on_exception fires.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Self

from onstage.errors import StateError
from onstage.logs import Logs
from onstage.model import MetricAccumulator, State
from onstage.run._lifecycle import Kind, RunLifecycle, RunState
from onstage.run._running_means import RunningMeans, sample_count

_END = object()
_STOP_FLAGS = {"train": "stop_training", "test": "stop_evaluating", "predict": "stop_predicting"}
_BEGIN = {"train": "on_train_batch_begin", "test": "on_test_batch_begin", "predict": "on_predict_batch_begin"}
_FINISH = {"train": "on_train_batch_end", "test": "on_test_batch_end", "predict": "on_predict_batch_end"}


class BatchLoop:
    """The batches of one stage; opens and closes each as the loop turns."""

    def __init__(
        self,
        run: RunState,
        lifecycle: RunLifecycle,
        kind: Kind,
        data: Iterable[Any],
        accumulator: MetricAccumulator,
    ) -> None:
        self.run = run
        self._lifecycle = lifecycle
        self.kind = kind
        self.data = data
        self.accumulator = accumulator
        self.batch = -1
        self.is_open = False
        self.closed = False
        self._batches: Iterator[Any] | None = None
        self._skip = 0
        self._logged: Logs = {}
        self._samples: float | None = None
        self._stages = run.bus.stages
        self._begin, self._finish, self._stop_flag = _BEGIN[kind], _FINISH[kind], _STOP_FLAGS[kind]

    def __iter__(self) -> Self:
        if self._batches is None:
            self._lifecycle.enter(self)
            self._batches = islice(self.data, self._skip, None) if self._skip else iter(self.data)
        return self

    def __next__(self) -> Any:
        run = self.run
        if self._batches is None:
            iter(self)
        if self.closed:
            raise StopIteration
        if self._lifecycle.loops[-1] is not self:
            self._lifecycle.close_loops(above=self)
        # Read before: what is asked for while the batch ends comes behind the next.
        interruption = run.interruption
        if self.is_open:
            self.close_batch()
            if interruption is not None and (self.kind == "train" or not run.is_training):
                raise interruption
        # As in Keras, one batch runs even when a begin stage has asked to stop.
        if self.batch >= 0 and getattr(run.flags, self._stop_flag, False):
            self.close()
            raise StopIteration
        data = next(self._batches, _END)  # type: ignore[arg-type]  # __iter__ has set it
        if data is _END:
            self.close()
            raise StopIteration
        self.batch += 1
        run.batch = self.batch
        run.batch_data = data
        self.is_open = True
        begin = getattr(self._stages, self._begin)
        if begin is not None:
            begin(self.batch, {}, run)
        return data

    def log(self, values: Logs, samples: float | None) -> None:
        """Keep values for this batch's end; a name given again replaces."""
        self._logged.update(values)
        self._samples = samples

    def close_batch(self) -> None:
        """Fire the batch's end."""
        self.is_open = False
        logged = self._logged
        if logged:
            self._logged = {}
            if self.kind != "predict":
                self._accumulate(logged)
        emit = getattr(self._stages, self._finish)
        if emit is None:
            return
        if self.kind == "predict":
            emit(self.batch, logged, self.run)
        else:
            emit(self.batch, self.accumulator.logs() if emit.reads_logs else {}, self.run)

    def _accumulate(self, logged: Logs) -> None:
        if not isinstance(self.accumulator, RunningMeans):
            raise RuntimeError("run.log must not be used in a loop whose totals a model fills")
        samples = sample_count(self.run.batch_data) if self._samples is None else self._samples
        self.accumulator.add(logged, samples)
        self._samples = None

    def close(self) -> None:
        """Close what is open, and the stage with it."""
        if self.closed:
            return
        if self.is_open:
            self.close_batch()
        self.closed = True
        if hasattr(self.data, "end_epoch"):
            self.data.end_epoch()
        self._lifecycle.leave(self)

    def resume(self, state: State) -> None:
        """Begin behind the batches of a stage that are done."""
        self.batch = state["batch"] - 1
        if state["accumulator"] is not None:
            self.accumulator.load_state_dict(state["accumulator"])
        if state["data"] is not None and hasattr(self.data, "load_state_dict"):
            self.data.load_state_dict(state["data"])
            if state["data"].get("in_epoch", 0) > state["batch"]:
                raise StateError(
                    "the saved place in the data must not be ahead of the batches that were done"
                )
        else:
            self._skip = state["batch"]


class StepLoop(BatchLoop):
    """Training batches without epochs: one epoch, opened and closed with the loop."""

    def close(self) -> None:
        """Close the loop, its epoch and the training."""
        if not self.closed:
            super().close()
            self._lifecycle.close_training()


class EpochLoop:
    """The epochs of a training; the end of the loop ends the training."""

    def __init__(self, run: RunState, lifecycle: RunLifecycle) -> None:
        self.run = run
        self._lifecycle = lifecycle
        self._next = run.initial_epoch

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> int:
        run = self.run
        interruption = run.interruption
        self._lifecycle.close_epoch()
        if interruption is not None:
            raise interruption
        self._lifecycle.agree()
        epochs = run.params["epochs"]
        stopped = run.stopping and self._next > run.initial_epoch
        if stopped or not run.is_training or (epochs is not None and self._next >= epochs):
            self._lifecycle.close_training()
            raise StopIteration
        epoch = self._next
        self._next += 1
        self._lifecycle.open_epoch(epoch)
        return epoch
