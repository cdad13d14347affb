"""The iterators of a Run: each iteration closes one batch or epoch and opens the next.

They do nothing when a loop is left, as they cannot tell a ``break`` from an error.
A stage that a ``break`` leaves open is closed when the next one opens, or at the
end of the ``with`` block. After an error no stage is closed, and on_exception fires.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Self

from onstage.run._batch_stage import BatchStage
from onstage.run._lifecycle import RunLifecycle, RunState


class BatchLoop(BatchStage):
    """Iterator over the batches of a stage; opens and closes each of them."""

    _opened: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        if self._opened is None:
            if not (hasattr(self.data, "__iter__") or hasattr(self.data, "__getitem__")):
                raise TypeError(f"data must be an iterable of batches, got {self.data!r}")
            self._lifecycle.enter(self)
            self._opened = self._open_each(islice(self.data, self.skip, None) if self.skip else self.data)
        return self._opened

    def __next__(self) -> Any:
        return next(iter(self))

    def _open_each(self, batches: Iterable[Any]) -> Iterator[Any]:
        run, loops = self.run, self._lifecycle.loops
        stages, begins, flags, stop_flag = self._stages, self._begin, run.flags, self.stop_flag
        # As in Keras, one batch runs even if a begin stage asked to stop.
        if self.batch >= 0 and self.stop_requested:
            batches = ()
        for data in batches:
            # open_batch inlined: the call would slow an empty loop by a tenth.
            self.batch += 1
            run.batch = self.batch
            run.batch_data = data
            self.is_open = True
            begin = getattr(stages, begins)
            if begin is not None:
                begin(self.batch, {}, run)
            yield data
            if self.closed:
                return
            if loops[-1] is not self:
                self._lifecycle.close_loops(above=self)
            # Read before the batch ends: a signal during its end stage counts for the next batch.
            if self._is_shared:
                self._lifecycle.signals.agree()
            interruption = run.interruption
            if self.is_open:
                self.close_batch()
                if interruption is not None and (self.kind == "train" or not run.is_training):
                    raise interruption
            if getattr(flags, stop_flag, False):
                break
        self.close()


class StepLoop(BatchLoop):
    """Iterator over training batches without epochs; closes its one epoch and the training."""

    def close(self) -> None:
        """Close the loop, its epoch and the training."""
        if not self.closed:
            super().close()
            self._lifecycle.close_training()


class EpochLoop:
    """Iterator over the epochs of a training; its end closes the training."""

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
        if run.interruption is not None and self._lifecycle.signals.is_shared:
            raise run.interruption
        epochs = run.params["epochs"]
        stopped = run.stopping and self._next > run.initial_epoch
        if stopped or not run.is_training or (epochs is not None and self._next >= epochs):
            self._lifecycle.close_training()
            raise StopIteration
        epoch = self._next
        self._next += 1
        self._lifecycle.open_epoch(epoch)
        return epoch
