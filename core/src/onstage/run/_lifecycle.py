"""RunLifecycle: the state machine of a run, which fires the stages.

The loops of `onstage.run._loops` and the calls of `onstage.run._pushed` drive it.
Opening a stage closes the stages that a ``break`` left open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

from onstage.bus._manager import Bus
from onstage.callbacks._history import History
from onstage.callbacks._options import describe_plugins
from onstage.context import RunContext
from onstage.errors import Interrupted, warn
from onstage.logs import Logs, read_scalars
from onstage.model import MetricAccumulator, State
from onstage.run import _fingerprint, _requirements, _saved_state
from onstage.run._interruption import Interruption
from onstage.run._running_means import RunningMeans

Kind = Literal["train", "test", "predict"]


class RunState(RunContext, Protocol):
    """The run with the attributes that its lifecycle and loops set."""

    bus: Bus
    history: History
    flags: Any
    initial_epoch: int
    epoch: int | None
    batch: int | None
    batch_data: Any
    stop_reason: str | None
    stopped_by: str | None
    interruption: Interrupted | None
    test_logs: Logs


class OpenLoop(Protocol):
    """A loop over batches; implemented by `onstage.run._batch_stage.BatchStage`."""

    kind: Kind
    batch: int
    data: Any
    accumulator: MetricAccumulator
    is_open: bool

    def log(self, values: Logs, samples: float | None, *, running: bool = False) -> None:
        """Keep values for the end of the open batch."""
        ...

    def close_batch(self) -> None:
        """Close the open batch and fire its end stage."""
        ...

    def close(self) -> None:
        """Close the open batch and the stage."""
        ...

    def resume(self, state: State) -> None:
        """Continue after the batches that a saved run has done."""
        ...


class RunLifecycle:
    """The open stages of one run: training, epoch, loops over batches.

    Parameters
    ----------
    before_training
        Called before on_train_begin; may refuse the training.

    Attributes
    ----------
    is_training
        Whether the run is between on_train_begin and on_train_end.
    epoch_open
        Whether the run is between on_epoch_begin and the end of on_epoch_end.
    epoch_logs
        Logs of the open epoch other than its training metrics.
    last_logs, fired_logs
        Logs of the last epoch that ended, and the dict that its callbacks
        received, with their changes.
    loops
        Open loops over batches, the innermost last.
    signals
        The signal that ends the run.
    """

    def __init__(self, run: RunState, before_training: Callable[[], None]) -> None:
        self._run = run
        self._before_training = before_training
        self.is_training = False
        self.epoch_open = False
        self.epoch_logs: Logs = {}
        self.loops: list[OpenLoop] = []
        self.signals = Interruption(run)
        self._began = False
        self._gives_gradients = False
        self._epoch_ending = False
        self._train_loop: OpenLoop | None = None
        self.last_logs: Logs = {}
        self.fired_logs: Logs = {}
        self._resume: State | None = None
        self._is_restored = False
        self._fingerprint: State = {}

    # -- the training and its epochs

    def open_training(self) -> None:
        """Fire on_train_begin, once."""
        run = self._run
        if self._began:
            raise RuntimeError("a Run trains once; make a new one for another training")
        self._before_training()
        self._offer_gradients()
        self._began = self.is_training = True
        self._fingerprint = _fingerprint.of_run(run)
        run.bus.fire("on_train_begin", {}, run)
        run.history.plugins = describe_plugins(run.bus.plugins())
        run.history.disabled = run.bus.disabled
        self._restore(in_epoch=False)

    def open_epoch(self, epoch: int) -> None:
        """Fire on_epoch_begin."""
        self._run.epoch = epoch
        self.epoch_open = True
        resumed = self._resume if self.resumes_here else None
        self.epoch_logs = {} if resumed is None else dict(resumed.get("logs", {}))
        self._train_loop = None
        self._offer_gradients()
        self._run.bus.fire("on_epoch_begin", epoch, {}, self._run)
        self._restore(in_epoch=True)

    def close_epoch(self) -> None:
        """Close the open loops, and fire on_epoch_end."""
        self.close_loops()
        if not self.epoch_open:
            return
        ran = self._train_loop is not None and self._train_loop.batch >= 0
        train_logs = self._train_loop.accumulator.logs() if self._train_loop and ran else {}
        self.last_logs = {**train_logs, **read_scalars(self.epoch_logs)}
        self._epoch_ending = True
        self.fired_logs = dict(self.last_logs)
        self._run.bus.fire("on_epoch_end", self._run.epoch, self.fired_logs, self._run)
        self.epoch_open = self._epoch_ending = False

    def close_training(self) -> None:
        """Close the open epoch, and fire on_train_end."""
        if not self.is_training:
            return
        run = self._run
        self.close_epoch()
        self.signals.expire()
        # Saved in an epoch after the last one of this run: no on_epoch_begin has restored it.
        self._restore(in_epoch=True)
        self.is_training = False
        if hasattr(run.model, "finalize_weights"):
            run.model.finalize_weights()
        if run.stopping and run.stop_reason is None:
            run.stop_reason = "model.stop_training was set"
        run.history.stop_reason, run.history.stopped_by = run.stop_reason, run.stopped_by
        run.bus.fire("on_train_end", dict(self.last_logs), run)
        if run.bus.disabled:
            warn(f"the training went on without: {', '.join(run.bus.disabled)}")

    def _offer_gradients(self) -> None:
        """Let the model fire on_optimizer_step_begin, if a callback implements it."""
        run = self._run
        emit = run.bus.compiled("on_optimizer_step_begin")
        if emit is not None:
            _requirements.check_gradients(run.bus.implementations("on_optimizer_step_begin"), run.model)
            run.model.set_gradient_callback(lambda gradients: emit(run.batch, gradients, run))
            self._gives_gradients = True
        elif self._gives_gradients:
            self.withdraw_gradients()

    def withdraw_gradients(self) -> None:
        """Remove the gradient callback from the model."""
        if self._gives_gradients:
            self._gives_gradients = False
            self._run.model.set_gradient_callback(None)

    def agree(self) -> None:
        """Let the processes of a run agree on a stop, or a signal, if the model supports it."""
        run = self._run
        if hasattr(run.model, "agree_on_stop"):
            asked = run.model.agree_on_stop()
            self.signals.agree()
            if run.interruption is None:
                run.stop_reason = run.stop_reason or asked

    # -- the loops over batches

    def enter(self, loop: OpenLoop) -> None:
        """Open a loop: a test or prediction inside the training loop, any other alone."""
        if loop.kind == "train":
            self.close_loops()
            self._enter_training(loop)
        elif self.loops and self.loops[-1].kind == "train":
            if self.loops[-1].is_open:
                self.loops[-1].close_batch()
        else:
            self.close_loops()
        self.loops.append(loop)
        if loop.kind != "train":
            self._run.bus.fire(f"on_{loop.kind}_begin", {}, self._run)

    def _enter_training(self, loop: OpenLoop) -> None:
        earlier = self._train_loop
        self._train_loop = loop
        if "data" not in self._fingerprint and hasattr(loop.data, "fingerprint"):
            self._fingerprint["data"] = loop.data.fingerprint()
            if _fingerprint.has_other_data(self._resume, self._fingerprint):
                warn("the saved run continues with data whose first or last sample differs")
        if earlier is not None:
            loop.batch = earlier.batch
            if isinstance(earlier.accumulator, RunningMeans) and isinstance(loop.accumulator, RunningMeans):
                loop.accumulator = earlier.accumulator
        elif self._resume is not None and self.resumes_here:
            state, self._resume = self._resume, None
            loop.resume(state)

    def leave(self, loop: OpenLoop) -> None:
        """Remove a closed loop, and fire the end of its stage."""
        run = self._run
        self.loops.remove(loop)
        if hasattr(loop.accumulator, "finish"):
            loop.accumulator.finish()
        outer = self.loops[-1] if self.loops else None
        run.batch = outer.batch if outer else None
        run.batch_data = None
        if loop.kind == "test":
            run.test_logs = dict(loop.accumulator.logs())
            if self.epoch_open:
                self.epoch_logs.update({f"val_{name}": value for name, value in run.test_logs.items()})
            run.bus.fire("on_test_end", dict(run.test_logs), run)
        elif loop.kind == "predict":
            run.bus.fire("on_predict_end", {}, run)

    def close_loops(self, above: OpenLoop | None = None) -> None:
        """Close the loops inside `above`, or all of them, the innermost first."""
        while self.loops and self.loops[-1] is not above:
            self.loops[-1].close()

    # -- resume

    @property
    def resumes_here(self) -> bool:
        """Whether the open epoch is that of a loaded state, and no batch was opened since."""
        return self._resume is not None and self._resume["epoch"] == self._run.epoch

    @property
    def batch_open(self) -> bool:
        """Whether a training batch is open."""
        return self._train_loop is not None and self._train_loop.is_open

    def state_dict(self, *, model: bool = True) -> State:
        """Return a copy of position, model and callbacks; see `Run.state_dict`."""
        run, loop = self._run, self._train_loop
        if self.batch_open:
            raise RuntimeError("run.state_dict must be called in an end stage, not inside a batch")
        in_epoch = self.epoch_open and not self._epoch_ending
        return {
            "epoch": run.initial_epoch if run.epoch is None else run.epoch + (not in_epoch),
            "batch": loop.batch + 1 if loop and in_epoch else 0,
            "accumulator": loop.accumulator.state_dict() if loop and in_epoch else None,
            "logs": read_scalars(self.epoch_logs) if in_epoch else {},
            "data": loop.data.state_dict() if loop and hasattr(loop.data, "state_dict") else None,
            "fingerprint": self._fingerprint,
            **_saved_state.of_run(run, model=model),
        }

    def load_state_dict(self, state: State) -> None:
        """Keep a state until the run reaches its position; see `Run.load_state_dict`."""
        self._run.initial_epoch = _saved_state.validate(state)
        self._resume = state

    def _restore(self, *, in_epoch: bool) -> None:
        """Restore model and callbacks, once, if the state was saved at this kind of position."""
        if self._resume is None or self._is_restored or bool(self._resume["batch"]) is not in_epoch:
            return
        self._is_restored = True
        differences = _saved_state.restore(self._run, self._resume)
        differences += _fingerprint.compare(self._resume.get("fingerprint"), self._fingerprint)
        if differences:
            warn(f"the saved run continues in a program that differs: {'; '.join(differences)}")
