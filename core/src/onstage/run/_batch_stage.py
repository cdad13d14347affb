"""BatchStage: opens and closes the batches of one training, test or prediction."""

from __future__ import annotations

from typing import Any

from onstage.data._source import warn_of_skipping
from onstage.errors import StateError
from onstage.logs import Logs
from onstage.model import MetricAccumulator, State
from onstage.run._lifecycle import Kind, RunLifecycle, RunState
from onstage.run._running_means import RunningMeans, sample_count

STOP_FLAGS = {"train": "stop_training", "test": "stop_evaluating", "predict": "stop_predicting"}
_BEGIN = {
    "train": "on_train_batch_begin",
    "test": "on_test_batch_begin",
    "predict": "on_predict_batch_begin",
}
_END = {"train": "on_train_batch_end", "test": "on_test_batch_end", "predict": "on_predict_batch_end"}


class BatchStage:
    """The batches of a training epoch, an evaluation or a prediction.

    Parameters
    ----------
    data
        The source of the batches, whose position is saved; None if another
        program has it.
    accumulator
        Accumulates the metrics; `RunningMeans` for values that are logged.

    Attributes
    ----------
    batch
        Number of the batch that was opened last; -1 before the first.
    is_open
        Whether that batch has not ended yet.
    closed
        Whether the stage has ended.
    skip
        Number of batches that a resumed run leaves out.
    """

    def __init__(
        self, run: RunState, lifecycle: RunLifecycle, kind: Kind, data: Any, accumulator: MetricAccumulator
    ) -> None:
        self.run = run
        self.kind = kind
        self.data = data
        self.accumulator = accumulator
        self.batch = -1
        self.is_open = self.closed = False
        self.skip = 0
        self._lifecycle = lifecycle
        self._is_shared = kind == "train" and lifecycle.signals.is_shared
        self._logged: Logs = {}
        self._samples: float | None = None
        self._running = False
        self._stages = run.bus.stages
        self._begin, self._end = _BEGIN[kind], _END[kind]
        self.stop_flag = STOP_FLAGS[kind]

    @property
    def stop_requested(self) -> bool:
        """Whether a callback asked this stage to end early."""
        return bool(getattr(self.run.flags, self.stop_flag, False))

    @property
    def reads_logs(self) -> bool:
        """Whether a callback reads the logs of the batches."""
        emit = getattr(self._stages, self._end)
        return emit is not None and emit.reads_logs

    def open_batch(self, data: Any) -> None:
        """Open the next batch and fire its begin stage."""
        run = self.run
        self.batch += 1
        run.batch = self.batch
        run.batch_data = data
        self.is_open = True
        begin = getattr(self._stages, self._begin)
        if begin is not None:
            begin(self.batch, {}, run)

    def log(self, values: Logs, samples: float | None, *, running: bool = False) -> None:
        """Keep values for the end of the batch; the last value of a name counts.

        Parameters
        ----------
        running
            Whether the values are already running means.
        """
        self._logged = {**self._logged, **values} if self._logged else values
        self._samples = samples
        self._running = running

    def close_batch(self) -> None:
        """Close the open batch: accumulate its values and fire its end stage."""
        self.is_open = False
        logged = self._logged
        if logged:
            self._logged = {}
            if self.kind != "predict":
                self._accumulate(logged)
        emit = getattr(self._stages, self._end)
        if emit is None:
            return
        if self.kind != "predict":
            logged = self.accumulator.logs() if emit.reads_logs else {}
        emit(self.batch, logged, self.run)

    def _accumulate(self, logged: Logs) -> None:
        accumulator, samples = self.accumulator, self._samples
        if not isinstance(accumulator, RunningMeans):
            raise RuntimeError("run.log must not be used in a loop whose model accumulates the metrics")
        if self._running:
            self._running = False
            accumulator.replace(logged)
        else:
            accumulator.add(logged, sample_count(self.run.batch_data) if samples is None else samples)

    def close(self) -> None:
        """Close the open batch and the stage."""
        if self.closed:
            return
        if self.is_open:
            self.close_batch()
        self.closed = True
        if hasattr(self.data, "end_epoch"):
            self.data.end_epoch()
        self._lifecycle.leave(self)

    def resume(self, state: State) -> None:
        """Continue after the batches that a saved run has done.

        Raises
        ------
        StateError
            If the saved position in the data is ahead of those batches.

        Warns
        -----
        OnstageWarning
            If the data has no position, and may have another order now.
        """
        self.batch = state["batch"] - 1
        if state["accumulator"] is not None:
            self.accumulator.load_state_dict(state["accumulator"])
        if state["data"] is not None and hasattr(self.data, "load_state_dict"):
            self.data.load_state_dict(state["data"])
            if state["data"].get("in_epoch", 0) > state["batch"]:
                raise StateError("the saved position in the data must not be ahead of the batches done")
        else:
            self.skip = state["batch"]
            if self.skip and self.data is not None and not hasattr(self.data, "__getitem__"):
                warn_of_skipping("the data of the loop", self.data, self.skip)
