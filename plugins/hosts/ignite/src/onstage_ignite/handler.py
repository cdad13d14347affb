"""OnstageHandler: a handler of Ignite that runs the callbacks of onstage."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import nn

from onstage.errors import OnstageWarning
from onstage.hosts import HostCallback, log_name, map_arrays
from onstage.logs import Logs
from onstage.model import State
from onstage_ignite.view import Attached, make_view


class OnstageHandler(HostCallback):
    """Runs callbacks of onstage in an engine.

    Attach it after the metrics and before the checkpoints. Handlers of
    ``EPOCH_COMPLETED`` that validate may be added before or after: the epoch of
    the callbacks ends behind them. The state of the callbacks is in Ignite's
    checkpoints if the handler is among the objects ``to_save``.

    Parameters
    ----------
    callbacks
        Instances, names of installed callbacks, ``{"name": {option: value}}``,
        or nested lists of these.
    output_transform
        Takes the output of the training step and returns the loss, or a dict of
        values by name. Without it, the output must be one of these itself; other
        parts of a dict, and other outputs, are left out.
    verbose
        1 adds onstage's progress bar, 2 a line per epoch.

    Examples
    --------
    >>> from onstage_ignite import OnstageHandler
    >>> handler = OnstageHandler(["csv_logger", {"early_stopping": {"patience": 3}}])
    >>> handler.attach(
    ...     trainer, evaluator=evaluator, model=model, optimizer=optimizer
    ... )  # doctest: +SKIP
    """

    host = "Ignite"
    lacks: ClassVar[dict[str, str]] = {
        "state_dict": "add the handler to the objects that ignite.handlers.Checkpoint saves",
        "load_state_dict": "add the handler to the objects that Checkpoint.load_objects loads",
        "snapshot": "save without save_in_background",
        "finalize_weights": "use ignite.handlers.EMAHandler",
    }

    def __init__(
        self,
        callbacks: Any = None,
        *,
        output_transform: Callable[[Any], Any] | None = None,
        verbose: int | str = 0,
    ) -> None:
        super().__init__(callbacks, verbose=verbose)
        self.output_transform = output_transform
        self._saved: State | None = None

    def attach(
        self,
        trainer: Engine,
        *,
        evaluator: Engine | None = None,
        model: nn.Module | None = None,
        optimizer: Any = None,
    ) -> None:
        """Attach the callbacks to an engine that trains.

        Parameters
        ----------
        trainer
            Its runs are the trainings.
        evaluator
            Its runs in an epoch are the validations, its metrics are ``val_…``.
            Runs over the training data need an engine of their own.
        model
            Module whose weights callbacks read, restore and save.
        optimizer
            Optimizer whose learning rate they set; several in a list or a dict by name.

        Raises
        ------
        ValueError
            If the handler is attached to this trainer.
        """
        if trainer.has_event_handler(self._begin_training, Events.STARTED):
            raise ValueError("trainer must be one that the handler is not attached to, got the same again")
        attached = Attached(trainer, evaluator, model, optimizer)
        trainer.add_event_handler(Events.STARTED, self._begin_training, attached)
        trainer.add_event_handler(Events.EPOCH_STARTED, self._begin_epoch)
        trainer.add_event_handler(Events.ITERATION_STARTED, self._begin_batch)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._end_batch)
        trainer.add_event_handler(Events.TERMINATE | Events.COMPLETED, self._end_training)
        trainer.add_event_handler(Events.EXCEPTION_RAISED, self._end_broken)
        # First, since a handler of the user may raise.
        of_errors = trainer._event_handlers[Events.EXCEPTION_RAISED]
        of_errors.insert(0, of_errors.pop())
        if evaluator is not None:
            evaluator.add_event_handler(Events.STARTED, self._begin_validation)
            evaluator.add_event_handler(Events.ITERATION_STARTED, self._begin_test_batch)
            evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._end_test_batch)
            evaluator.add_event_handler(Events.COMPLETED, self._end_validation)

    # -- the training

    def _begin_training(self, trainer: Engine, attached: Attached) -> None:
        """Begin the run, and move the end of the epoch behind the user's handlers."""
        if trainer.has_event_handler(self._end_epoch, Events.EPOCH_COMPLETED):
            trainer.remove_event_handler(self._end_epoch, Events.EPOCH_COMPLETED)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch)
        saved, self._saved = self._saved, None
        state = trainer.state
        if saved is not None and saved["epoch"] > state.epoch:
            warnings.warn(
                f"the callbacks begin anew: they have a state of epoch {saved['epoch']}, but Ignite begins "
                f"at epoch {state.epoch}; load the state of the trainer too",
                OnstageWarning,
                stacklevel=2,
            )
            saved = None
        self.start(
            make_view(attached, self, self.lacks),
            epochs=state.max_epochs,
            initial_epoch=state.epoch,
            steps=state.epoch_length,
            batch_size=getattr(state.dataloader, "batch_size", None),
            state=saved,
        )
        # Saved by an earlier handler of EPOCH_COMPLETED: Ignite takes the epoch to be complete.
        if saved is not None and saved["batch"] and saved["epoch"] < state.epoch:
            self._end_epoch(trainer)

    def _begin_epoch(self, trainer: Engine) -> None:
        self.begin("epoch", trainer.state.epoch - 1)

    def _begin_batch(self, trainer: Engine) -> None:
        self.begin("train_batch", data=trainer.state.batch)

    def _end_batch(self, trainer: Engine) -> None:
        output = trainer.state.output
        values = output if self.output_transform is None else self.output_transform(output)
        if not self.end("train_batch", _scalars(values)):
            trainer.terminate_epoch()  # terminate would leave out the validation

    def _end_epoch(self, trainer: Engine) -> None:
        if not self.end("epoch", _scalars(trainer.state.metrics)):
            trainer.terminate()

    def _end_training(self, trainer: Engine) -> None:
        self.finish()

    def _end_broken(self, trainer: Engine, error: BaseException) -> None:
        self.finish(error)
        # Ignite raises the error only if it has no handler; the last one does it in its place.
        if trainer._event_handlers[Events.EXCEPTION_RAISED][-1][0] == self._end_broken:
            raise error

    # -- the validation

    @property
    def _in_epoch(self) -> bool:
        return self.active_run is not None and self.active_run.epoch_open

    def _begin_validation(self, evaluator: Engine) -> None:
        if self._in_epoch:
            self.begin("test")

    def _begin_test_batch(self, evaluator: Engine) -> None:
        if self._in_epoch:
            self.begin("test_batch", data=evaluator.state.batch)

    def _end_test_batch(self, evaluator: Engine) -> None:
        if self._in_epoch:
            self.end("test_batch")

    def _end_validation(self, evaluator: Engine) -> None:
        if self._in_epoch:
            logs = _scalars(evaluator.state.metrics)
            self.end("test", {name.removeprefix("val_"): value for name, value in logs.items()})

    # -- the state, in Ignite's checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the callbacks, with tensors in place of arrays; empty outside a training."""
        # Ignite reads tensors from a checkpoint that is not trusted, but no arrays.
        state: dict[str, Any] = map_arrays(self.save_state() or {}, np.ndarray, torch.from_numpy)
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Keep the state until the training begins."""
        self._saved = map_arrays(dict(state_dict), torch.Tensor, lambda each: each.cpu().numpy()) or None


def _scalars(values: Any) -> Logs:
    """Return the single numbers among values, under the names of onstage; a lone one is the loss."""
    named = values if isinstance(values, Mapping) else {"loss": values}
    logs: Logs = {}
    for name, value in named.items():
        if isinstance(value, torch.Tensor) and value.numel() == 1:
            logs[log_name(str(name))] = value.detach().reshape(())
        elif isinstance(value, int | float | np.number) and not isinstance(value, bool):
            logs[log_name(str(name))] = value
    return logs
