"""RunControls: the interface of a run for callbacks: read, stop, save and restore it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from onstage.bus._manager import Bus
from onstage.callbacks._history import History
from onstage.errors import Interrupted, did_you_mean
from onstage.logs import Logs
from onstage.model import State
from onstage.run._lifecycle import RunLifecycle

if TYPE_CHECKING:  # imported when needed: few runs handle signals
    from onstage.run._signals import SignalHandlers


class RunControls:
    """The part of a `Run` for callbacks; implements `onstage.context.RunContext`."""

    model: Any
    params: dict[str, Any]
    bus: Bus
    history: History
    test_logs: Logs
    flags: Any
    metric_names: tuple[str, ...] | None
    rank: int
    epoch: int | None
    batch: int | None
    batch_data: Any
    validation_data: Any = None
    stop_reason: str | None
    stopped_by: str | None
    interruption: Interrupted | None
    resumed: bool
    seed: int | None = None
    _over: bool
    _lifecycle: RunLifecycle
    _signal_handlers: SignalHandlers | None

    @property
    def batch_logs(self) -> Logs:
        """Values of the current batch alone; ``logs`` holds the running means."""
        loops = self._lifecycle.loops
        return loops[-1].accumulator.batch_logs() if loops else {}

    @property
    def epoch_logs(self) -> Logs:
        """Logs of the last epoch that ended, with the values that callbacks added."""
        return dict(self._lifecycle.fired_logs)

    @property
    def is_training(self) -> bool:
        """Whether the run is between on_train_begin and on_train_end."""
        return self._lifecycle.is_training

    @property
    def epoch_open(self) -> bool:
        """Whether the run is between on_epoch_begin and the end of on_epoch_end."""
        return self._lifecycle.epoch_open

    @property
    def batch_open(self) -> bool:
        """Whether a training batch is open; `state_dict` cannot be called then."""
        return self._lifecycle.batch_open

    @property
    def stopping(self) -> bool:
        """Whether a stop of the training was requested."""
        return bool(self.flags.stop_training)

    def stop(self, reason: str, by: object | None = None) -> None:
        """Stop the training: run no further batch or epoch, fire all end stages.

        Parameters
        ----------
        reason
            A sentence for the user; History records it. The first one counts.
        by
            The callback that stops, for History; `Callback.stop` passes itself.
        """
        if not isinstance(reason, str) or not reason:
            raise ValueError(f"reason must be a non-empty string, got {reason!r}")
        if self.stop_reason is None:
            self.stop_reason = reason
            self.stopped_by = None if by is None else self.bus.get_name(by)
        self.flags.stop_training = True

    def stop_on_signal(self, *signums: int) -> None:
        """End the run after the current batch when a signal is received.

        The open batch is finished and its end stage fires, in which callbacks
        can read `interruption`. Then `Interrupted` is raised: on_exception and
        on_teardown fire, but no end of the epoch or the training. During a
        validation, the validation and its epoch are finished first. After
        teardown the previous handlers are restored and the signal is raised
        again, so that its default action (usually exit) applies. If a handler
        lets the program continue, the loop raises `Interrupted`.

        In a run of several processes all of them end after the same batch, also
        those without a signal: where they agree on stops (`TorchModel`'s
        ``agree_every``), at the latest after the epoch.

        Parameters
        ----------
        signums
            Such as ``signal.SIGTERM``.

        Raises
        ------
        ValueError
            If one is not a signal, or cannot be caught.
        RuntimeError
            If the run is over, this is not the main thread, or the present
            handler could not be restored.
        """
        from onstage.run._signals import SignalHandlers

        if self._over:
            raise RuntimeError("stop_on_signal must be called before the run is over")
        if self._signal_handlers is None:
            self._signal_handlers = SignalHandlers(self._lifecycle.signals.receive)
        for signum in signums:
            self._signal_handlers.add(signum)

    def emit(self, stage: str, **arguments: Any) -> Any:
        """Fire a stage of a package, see `onstage.Callback.hookspecs`.

        Parameters
        ----------
        stage
            Name of a stage that an installed package brings by an entry point
            of ``onstage.hookspecs``, or that ``bus.add_hookspecs`` added.
        arguments
            Those of its specification; ``run`` is added.

        Returns
        -------
        list or object
            As pluggy: what the implementations returned, in call order, without
            None; for a stage with ``firstresult=True`` the first of them, or None.

        Raises
        ------
        ValueError
            If there is no such stage.
        """
        if not self.bus.find_stage(stage):
            raise ValueError(
                f"stage must be one of a package, declared by an entry point of 'onstage.hookspecs' or by "
                f"bus.add_hookspecs, got {stage!r}{did_you_mean(stage, self.bus.stage_names())}"
            )
        return self.bus.emit(stage, self, arguments)

    def where(self) -> str:
        """Return the position for messages: ``", epoch 3, batch 7"``, the epoch from 1, the batch from 0."""
        epoch = "" if self.epoch is None else f", epoch {self.epoch + 1}"
        return epoch if self.batch is None else f"{epoch}, batch {self.batch}"

    # -- resume

    def state_dict(self, *, model: bool = True) -> State:
        """Return a copy of the state that a run needs to resume to the bit.

        Call it in an end stage: in on_epoch_end that epoch counts as done, in
        on_train_batch_end that batch. Mark the implementation ``trylast``, so
        that all other callbacks have their final state.

        Parameters
        ----------
        model
            Whether to include the state of the model; False if it is saved elsewhere.

        Raises
        ------
        RuntimeError
            If a training batch is open.
        """
        return self._lifecycle.state_dict(model=model)

    def load_state_dict(self, state: State) -> None:
        """Continue from a state of `state_dict`.

        Call it in on_train_begin or earlier. Model and callbacks are restored
        after all on_train_begin, or, for a state from within an epoch, after
        all on_epoch_begin of that epoch: the changes of those stages are
        overwritten.

        Raises
        ------
        StateError
            If it is not the state of a run; or later, if a part does not fit
            the model or the callback.
        RuntimeError
            If the first epoch has begun.
        """
        if self.epoch is not None:
            raise RuntimeError("run.load_state_dict must be called before the first epoch")
        self._lifecycle.load_state_dict(state)
        self.resumed = True


def stop_flags(model: Any) -> Any:
    """Return the object with ``stop_training``: the model, or a substitute."""
    try:
        model.stop_training = bool(getattr(model, "stop_training", False))
    except AttributeError:
        return SimpleNamespace(stop_training=False)
    return model
