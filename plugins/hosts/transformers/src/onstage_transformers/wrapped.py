"""as_callback: run a callback of the Trainer where onstage's callbacks run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from onstage import Callback, Logs
from onstage.model import State
from onstage.validation import validate_state

_NEVER = {"on_save", "on_push_begin"}
"""Events of the Trainer that nothing in onstage corresponds to."""

_REFUSED = {
    "should_epoch_stop": "an epoch of onstage ends early only if the training does: set should_training_stop",
    "should_evaluate": "the validation of onstage follows each epoch: pass validation_data to fit",
    "should_save": "add onstage's ModelCheckpoint or BackupAndRestore",
}
"""Switches of a `TrainerControl` that onstage has no means for, to what to do instead."""

_KEPT = ("global_step", "epoch", "best_metric", "best_global_step", "log_history")


def as_callback(callback: TrainerCallback, args: TrainingArguments | None = None) -> WrappedCallback:
    """Return a callback of onstage that runs one of the Trainer.

    It runs in ``fit``, in a TorchModel and in a loop of your own. The Trainer's
    order of events holds: an epoch ends, its logs and those of its validation
    are told, then ``on_evaluate``. The callback gets ``model`` (the torch
    module, if there is one), ``optimizer`` and ``lr_scheduler``.

    Parameters
    ----------
    callback
        The callback, not changed.
    args
        Its first argument. None: those of the run, with logs and an evaluation
        after each epoch, and ``"loss"`` as `metric_for_best_model`.

    Raises
    ------
    TypeError
        If it is no such callback, or acts only when the Trainer saves or pushes;
        in training, if it asks for an evaluation, a checkpoint or the end of an
        epoch by its `TrainerControl`.

    Examples
    --------
    >>> from transformers import EarlyStoppingCallback
    >>> stop = as_callback(EarlyStoppingCallback(early_stopping_patience=3))
    >>> model.fit(x, y, validation_split=0.2, epochs=50, callbacks=[stop])  # doctest: +SKIP
    """
    if not isinstance(callback, TrainerCallback):
        raise TypeError(
            f"callback must be a transformers.TrainerCallback, got {type(callback).__name__}; "
            "callbacks of onstage and of Keras run as they are"
        )
    events = {name for name in vars(TrainerCallback) if name.startswith("on_") and _acts_in(callback, name)}
    if events and events <= _NEVER:
        raise TypeError(
            f"{type(callback).__name__} acts only in {' and '.join(sorted(events))}, which only a Trainer "
            f"has; {_REFUSED['should_save']}"
        )
    if args is not None and args.load_best_model_at_end:
        raise TypeError(
            "args must not have load_best_model_at_end, which only a Trainer does; "
            "add onstage's EarlyStopping(restore_best_weights=True)"
        )
    return WrappedCallback(callback, args)


class WrappedCallback(Callback):
    """Runs a callback of the Trainer; see `as_callback`.

    Attributes
    ----------
    callback
        The callback of the Trainer.
    args, state, control
        The arguments of its events; `state` and `control` are new in each training.
    """

    def __init__(self, callback: TrainerCallback, args: TrainingArguments | None) -> None:
        self.callback = callback
        self.args: Any = args
        self._given_args = args
        self._begin()
        self._training = self._step_open = False
        self._epoch = 0
        self._updates: int | None = None
        if not _acts_in(callback, "on_pre_optimizer_step"):
            self.skips = (WrappedCallback.on_optimizer_step_begin,)

    def _begin(self) -> None:
        self.state, self.control = TrainerState(), TrainerControl()

    # -- the training

    def on_train_begin(self) -> None:
        """Make the arguments, and fire on_init_end and on_train_begin."""
        epochs, steps = self.params.get("epochs"), self.params.get("steps")
        batch_size = self.params.get("batch_size")
        rate = getattr(self.model, "learning_rate", None)
        self.args = self._given_args or TrainingArguments(
            "trainer_output",
            num_train_epochs=epochs or 0,
            per_device_train_batch_size=batch_size or 1,
            learning_rate=0.0 if rate is None else float(rate),
            logging_strategy="epoch",
            eval_strategy="epoch",
            save_strategy="no",
            metric_for_best_model="loss",
            report_to="none",
        )
        self._begin()
        self.state.num_train_epochs = epochs or 0
        self.state.max_steps = (epochs or 0) * (steps or 0)
        self.state.train_batch_size = batch_size
        self.state.compute_steps(self.args, self.state.max_steps)
        is_zero = self.run is None or self.run.rank == 0
        self.state.is_local_process_zero = self.state.is_world_process_zero = is_zero
        self._training, self._step_open = True, False
        self._fire("on_init_end")
        self._fire("on_train_begin")

    def on_epoch_begin(self, epoch: int) -> None:
        """Fire on_epoch_begin."""
        self._epoch, self.state.epoch = epoch, float(epoch)
        self._fire("on_epoch_begin")

    def on_train_batch_begin(self, batch: int) -> None:
        """Fire on_step_begin, unless gradients are accumulated over several batches."""
        if not self._step_open:
            self._step_open, self._updates = True, self._count_updates()
            self.control.should_log = False
            self._fire("on_step_begin")

    def on_optimizer_step_begin(self, batch: int) -> None:
        """Fire on_pre_optimizer_step."""
        self._fire("on_pre_optimizer_step")

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Fire on_optimizer_step and on_step_end, or on_substep_end if there was no step."""
        updates = self._count_updates()
        if updates is not None and updates == self._updates:
            self._fire("on_substep_end")
            return
        self._step_open = False
        self._fire("on_optimizer_step")
        self.state.global_step += 1
        if steps := self.params.get("steps"):
            self.state.epoch = self._epoch + (batch + 1) / steps
        self._fire("on_step_end")
        if self._is_due("steps"):
            self._log(logs)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Fire on_epoch_end, on_log, and on_evaluate with the metrics of the validation."""
        self.state.epoch = float(epoch + 1)
        self._fire("on_epoch_end")
        if self._is_due("epoch"):
            self._log({name: value for name, value in logs.items() if not name.startswith("val_")})
        metrics = {f"eval_{name[4:]}": value for name, value in logs.items() if name.startswith("val_")}
        if metrics:
            self._evaluate(metrics)

    def on_train_end(self, logs: Logs) -> None:
        """Fire on_train_end."""
        if "loss" in logs:
            self._tell({"train_loss": logs["loss"]})
        self._fire("on_train_end")
        self._training = False

    # -- evaluation and prediction

    def on_test_batch_end(self) -> None:
        """Fire on_prediction_step."""
        self._fire("on_prediction_step")

    def on_test_end(self, logs: Logs) -> None:
        """Fire on_evaluate outside a training; in one, the metrics are those of the epoch."""
        if not self._training:
            self._evaluate({f"eval_{name}": value for name, value in logs.items()})

    def on_predict_batch_end(self) -> None:
        """Fire on_prediction_step."""
        self._fire("on_prediction_step")

    def on_predict_end(self) -> None:
        """Fire on_predict, without metrics."""
        self._fire("on_predict", metrics={})

    def on_teardown(self) -> None:
        """Forget a training that an error ended."""
        self._training = False

    # -- resume

    def state_dict(self) -> State:
        """Return the trainer's state, and that of the callback if it has one to export."""
        own = self.callback.state()["attributes"] if isinstance(self.callback, ExportableState) else {}
        return {"trainer": {name: getattr(self.state, name) for name in _KEPT}, "callback": dict(own)}

    def load_state_dict(self, state: State) -> None:
        """Continue from a `state_dict`; raise StateError if it is invalid."""
        trainer, own = validate_state(state, trainer=dict, callback=dict)
        for target, values in ((self.state, trainer), (self.callback, own)):
            for name, value in values.items():
                setattr(target, name, value)

    # -- events

    def _fire(self, event: str, **arguments: Any) -> None:
        model = self.model
        result = getattr(self.callback, event)(
            self.args,
            self.state,
            self.control,
            model=getattr(model, "module", model),
            processing_class=None,
            optimizer=getattr(model, "optimizer", None),
            lr_scheduler=getattr(model, "scheduler", None),
            train_dataloader=None,
            eval_dataloader=None,
            **arguments,
        )
        self.control = self.control if result is None else result
        name = type(self.callback).__name__
        for switch, remedy in _REFUSED.items():
            if getattr(self.control, switch):
                raise TypeError(
                    f"{name} set control.{switch} in {event}, which only a Trainer heeds; {remedy}"
                )
        if self.control.should_training_stop and self._training:
            self.stop(f"{name} set control.should_training_stop")

    def _is_due(self, strategy: str) -> bool:
        """Return whether to log now, after a step or an epoch."""
        at, every = str(self.args.logging_strategy.value), self.state.logging_steps
        is_due = at == strategy and (at == "epoch" or self.state.global_step % every == 0)
        return is_due or self.control.should_log

    def _log(self, logs: Mapping[str, Any]) -> None:
        rate = getattr(self.model, "learning_rate", None)
        self._tell(dict(logs) if rate is None else {**logs, "learning_rate": float(rate)})

    def _tell(self, logs: Logs) -> None:
        self.control.should_log = False
        told = {**logs, "epoch": self.state.epoch}
        self.state.log_history.append({**told, "step": self.state.global_step})
        self._fire("on_log", logs=told)

    def _evaluate(self, metrics: Logs) -> None:
        self._tell(metrics)
        self._fire("on_evaluate", metrics={**metrics, "epoch": self.state.epoch})
        self._keep_best(metrics)

    def _keep_best(self, metrics: Logs) -> None:
        """Keep the best value of `metric_for_best_model`, which the Trainer does after on_evaluate."""
        name = self.args.metric_for_best_model if self.args else None
        if name is None:
            return
        value = metrics.get(name if name.startswith("eval_") else f"eval_{name}")
        best = self.state.best_metric
        if value is None:
            return
        if best is None or (value > best if self.args.greater_is_better else value < best):
            self.state.best_metric, self.state.best_global_step = float(value), self.state.global_step

    def _count_updates(self) -> int | None:
        """Return the number of steps that the model's optimizer has made, None if it is unknown."""
        count = getattr(getattr(self.model, "optimizer", None), "iterations", None)
        return None if count is None else int(count)


def _acts_in(callback: TrainerCallback, event: str) -> bool:
    return getattr(type(callback), event) is not getattr(TrainerCallback, event)
