"""OnstageCallback: a callback of the Trainer that runs those of onstage."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from onstage.hosts import HostCallback
from onstage.logs import Logs
from onstage.model import State
from onstage_transformers.forward import ForwardHooks
from onstage_transformers.logged import LoggedLoss, of_evaluation
from onstage_transformers.saved_state import from_text, to_text
from onstage_transformers.view import LACKS, is_constant, make_view, mean_of_processes


class OnstageCallback(HostCallback, TrainerCallback, ExportableState):
    """Runs callbacks of onstage in the Trainer of transformers.

    The Trainer reports no errors to callbacks. To fire on_exception and
    on_teardown after one, write ``with OnstageCallback(…) as callback:`` around
    the training. A batch is a step of the optimizer. ``loss`` is that of the
    model's forward pass, and ``eval_accuracy`` becomes ``val_accuracy``. The
    state of the callbacks is in the Trainer's checkpoints.

    Parameters
    ----------
    callbacks
        Instances, names of installed callbacks, ``{"name": {option: value}}``,
        or nested lists of these.
    verbose
        1 adds onstage's progress bar, 2 a line per epoch.

    Examples
    --------
    >>> from onstage_transformers import OnstageCallback
    >>> callback = OnstageCallback(["csv_logger", {"early_stopping": {"patience": 3}}])
    >>> trainer = Trainer(model, callbacks=[callback])  # doctest: +SKIP
    """

    host = "transformers"
    lacks: ClassVar[Mapping[str, str]] = LACKS

    def __init__(self, callbacks: Any = None, *, verbose: int | str = 0) -> None:
        super().__init__(callbacks, verbose=verbose)
        self._forward: ForwardHooks | None = None
        self._control = TrainerControl()
        self._forget()

    def _forget(self, step: int = 0) -> None:
        self._logged = LoggedLoss(step)
        self._sees_loss = False
        self._epoch_ends = False  # on_epoch_end waits for the Trainer's loss or evaluation
        self._tests = self._in_test_batch = self._more_tests = False

    # -- the training

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin the run: the optimizer and its scheduler exist from here on."""
        _check(args)
        model, self._scheduler = kwargs["model"], kwargs["lr_scheduler"]
        self._is_constant = is_constant(self._scheduler, state.max_steps)
        steps = _steps_of_epoch(kwargs["train_dataloader"], args)
        epoch, done = divmod(state.global_step, steps or sys.maxsize)
        self._steps_done = 0 if args.ignore_data_skip else done
        self._several = args.world_size > 1
        self._forget(state.global_step)
        self.start(
            make_view(self.host, model, kwargs["optimizer"], self._scheduler, args, state.max_steps),
            epochs=None if state.num_train_epochs == sys.maxsize else state.num_train_epochs,
            initial_epoch=epoch,
            steps=steps,
            batch_size=args.train_batch_size * args.gradient_accumulation_steps * args.world_size,
            state=self._saved_state(state, epoch),
        )
        self._forward = ForwardHooks(model, self._before_evaluation)

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin the epoch."""
        if self._end_epoch(control):
            self.begin("epoch")
        self._first_step, self._steps_done = state.global_step - self._steps_done, 0

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin the batch."""
        self._more_tests = False
        if self._in_epoch:
            self.begin("train_batch", state.global_step - self._first_step)

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Let a constant schedule, which is about to set the rate, keep that of a callback."""
        if self._is_constant:
            self._scheduler.base_lrs = [group["lr"] for group in kwargs["optimizer"].param_groups]

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End the batch, and ask the Trainer to stop if a callback does."""
        self._control = control
        if self._in_epoch:
            self._stop_unless(self.end("train_batch", self._step_logs()), control)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End the epoch, unless its loss is about to be logged or its evaluation is due."""
        self._control = control
        self._epoch_ends = self._in_epoch
        awaits_loss = not self._sees_loss and control.should_log and self._logged.is_due(state.global_step)
        if not control.should_evaluate and not awaits_loss:
            self._end_epoch(control)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        """Keep the Trainer's own loss, for a model whose forward pass returns none."""
        if "loss" in logs:
            self._logged.add(float(logs["loss"]), state.global_step)
            if not control.should_evaluate:
                self._end_epoch(control)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End the run."""
        self._end_epoch(control)
        self.finish()

    def finish(self, error: BaseException | None = None) -> None:
        """End the training, if there is one in progress, and leave the model as it was."""
        if self._forward is not None:
            self._forward.remove()
            self._forward = None
        super().finish(error)

    @property
    def _in_epoch(self) -> bool:
        return self.active_run is not None and self.active_run.epoch_open

    def _step_logs(self) -> Logs:
        logs = {} if self._forward is None else self._forward.take_loss()
        self._sees_loss = bool(logs)
        return {name: mean_of_processes(value) for name, value in logs.items()} if self._several else logs

    def _end_epoch(self, control: TrainerControl) -> bool:
        """End the epoch if it waits for its end; return whether to continue."""
        go_on = self.active_run is None or not self.active_run.stopping
        if self._epoch_ends:
            self._epoch_ends = False
            logged = self._logged.take()
            go_on = self.end("epoch", {} if self._sees_loss else logged)
        self._stop_unless(go_on, control)
        return go_on

    def _stop_unless(self, go_on: bool, control: TrainerControl) -> None:
        if not go_on:
            control.should_training_stop = True

    # -- the validation

    def _before_evaluation(self) -> None:
        """Begin a batch of an evaluation that the Trainer has due, and the evaluation with its first one."""
        if self._in_test_batch or not self._in_epoch:
            return
        if self._control.should_evaluate or self._more_tests:
            if not self._tests:
                self._tests = True
                self.begin("test")
            self._in_test_batch = True
            self.begin("test_batch")

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End a batch of the evaluation."""
        loss = {} if self._forward is None else self._forward.take_loss()
        self._before_evaluation()  # where the forward pass of the model was not used
        if self._in_test_batch:
            self._in_test_batch = False
            self.end("test_batch", loss)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        """End the evaluation with the Trainer's metrics, and the epoch if it waited for them."""
        if self._tests:
            self._tests = False
            self.end("test", of_evaluation(metrics))
        # With several datasets there is an evaluation of each, and nothing tells the last one.
        self._more_tests = "eval_runtime" not in metrics
        if not self._more_tests:
            self._end_epoch(control)

    # -- the state, in the Trainer's checkpoints

    def state(self) -> dict[str, Any]:
        """Return the state of the callbacks; the Trainer asks for it when it saves a checkpoint."""
        self._end_epoch(self._control)
        state = self.save_state()
        return {"args": {}, "attributes": {} if state is None else {"saved": to_text(state)}}

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End the epoch in the processes that don't save."""
        self._end_epoch(control)

    def _saved_state(self, state: TrainerState, epoch: int) -> State | None:
        name = type(self).__name__
        # Without it, the Trainer can't save after resuming a checkpoint of a training without this callback.
        entry = state.stateful_callbacks.setdefault(name, self.state())
        text = entry.get("attributes", {}).get("saved")
        if text is None:
            return None
        saved = from_text(text)
        if saved["epoch"] < epoch:
            # Saved at the last step of an epoch, which the Trainer takes to be complete.
            saved |= {"epoch": epoch, "batch": 0, "accumulator": None}
        return saved


def _check(args: TrainingArguments) -> None:
    """Raise if the Trainer would not call the callbacks as they must be."""
    if args.n_gpu > 1:
        raise TypeError(
            f"OnstageCallback must have one device for each process, got {args.n_gpu}; start with torchrun"
        )
    if args.restore_callback_states_from_checkpoint:
        raise ValueError(
            "restore_callback_states_from_checkpoint must be False with OnstageCallback, got True: the "
            "Trainer would replace it; the states of its callbacks are restored without this"
        )


def _steps_of_epoch(loader: Any, args: TrainingArguments) -> int | None:
    try:
        batches: int = len(loader)
    except TypeError:
        return None
    accumulated: int = args.gradient_accumulation_steps
    return max(math.ceil(batches / accumulated), 1)
