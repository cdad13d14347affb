"""What callbacks may do with a run: look where it is, stop it, save it."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from onstage.bus._manager import Bus
from onstage.callbacks._history import History
from onstage.errors import Interrupted
from onstage.logs import Logs
from onstage.model import State
from onstage.run._lifecycle import RunLifecycle

if TYPE_CHECKING:  # imported when it is asked for: few runs heed a signal
    from onstage.run._signals import SignalHandlers


class RunControls:
    """The part of a `Run` that callbacks use; a `onstage.context.RunContext`."""

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
    stop_reason: str | None
    stopped_by: str | None
    interruption: Interrupted | None
    resumed: bool
    _over: bool
    _lifecycle: RunLifecycle
    _signal_handlers: SignalHandlers | None

    @property
    def batch_logs(self) -> Logs:
        """The current batch's own values; its running means are in ``logs``."""
        loops = self._lifecycle.loops
        return loops[-1].accumulator.batch_logs() if loops else {}

    @property
    def epoch_logs(self) -> Logs:
        """The logs of the last epoch that ended, with what callbacks added to them."""
        return dict(self._lifecycle.fired_logs)

    @property
    def is_training(self) -> bool:
        """Whether the run is between on_train_begin and on_train_end."""
        return self._lifecycle.is_training

    @property
    def stopping(self) -> bool:
        """Whether somebody has asked for the end."""
        return bool(self.flags.stop_training)

    def stop(self, reason: str, by: object | None = None) -> None:
        """End the training: no further batch or epoch, but every end fires.

        Parameters
        ----------
        reason
            For people; History records it.
        by
            The callback that asks, for History; `Callback.stop` passes itself.
        """
        if not isinstance(reason, str) or not reason:
            raise ValueError(f"reason must be a non-empty string, got {reason!r}")
        if self.stop_reason is None:
            self.stop_reason = reason
            self.stopped_by = None if by is None else self.bus.get_name(by)
        self.flags.stop_training = True

    def stop_on_signal(self, *signums: int) -> None:
        """Have a signal end the run behind the next batch, or the epoch's end.

        A batch that is open is finished and its end fires; callbacks see
        `interruption` there. Then `Interrupted` is raised: on_exception and
        on_teardown fire, and no other end, as the epoch has none. A validation
        is finished first, and then its epoch. When all is torn down the
        handlers of before are put back, and the signal is raised once more: the
        program ends as it would have ended at once without this. Where it goes
        on, `Interrupted` comes out of the loop.

        Parameters
        ----------
        signums
            Such as ``signal.SIGTERM``.

        Raises
        ------
        ValueError
            One is no signal, or can't be caught.
        RuntimeError
            This isn't the main thread, or a handler is there that can't be put back.
        """
        from onstage.run._signals import SignalHandlers

        if self._over:
            raise RuntimeError("stop_on_signal must be called before the run is over")
        if self._signal_handlers is None:
            self._signal_handlers = SignalHandlers(partial(setattr, self, "interruption"))
        for signum in signums:
            self._signal_handlers.add(signum)

    def emit(self, stage: str, **arguments: Any) -> None:
        """Fire a stage that a plugin package added with ``bus.add_hookspecs``."""
        if not self.bus.is_stage(stage):
            raise ValueError(f"stage must be one that bus.add_hookspecs added, got {stage!r}")
        self.bus.emit(stage, self, arguments)

    def where(self) -> str:
        """Say where the run is: ``", epoch 3, batch 7"``."""
        epoch = "" if self.epoch is None else f", epoch {self.epoch}"
        return epoch if self.batch is None else f"{epoch}, batch {self.batch}"

    # -- resume

    def state_dict(self, *, model: bool = True) -> State:
        """Copy everything that a resumed run needs, to the bit.

        Call it in a stage that ends: in on_epoch_end that epoch counts as
        done, in on_train_batch_end that batch. Only an implementation marked
        ``trylast`` sees the final state of all other callbacks.

        Parameters
        ----------
        model
            False to leave the model out, if something else saves it.
        """
        return self._lifecycle.state_dict(model=model)

    def load_state_dict(self, state: State) -> None:
        """Continue where `state_dict` was taken.

        To be called in on_train_begin or earlier. Model and callbacks are
        restored where the saved run was: behind all on_train_begin, and for a
        state from the middle of an epoch behind its on_epoch_begin too, so
        that what those did is overwritten.

        Raises
        ------
        StateError
            It isn't a run's state; or, later, a part doesn't fit what it is for.
        """
        if self.epoch is not None:
            raise RuntimeError("run.load_state_dict must be called before the first epoch")
        self._lifecycle.load_state_dict(state)
        self.resumed = True


def stop_flags(model: Any) -> Any:
    """Give what carries ``stop_training``: the model, or a stand-in for it."""
    try:
        model.stop_training = False
    except AttributeError:
        return SimpleNamespace(stop_training=False)
    return model
