"""OnstageCallback: a callback of fastai that runs those of onstage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from fastai.callback.core import Callback, CancelFitException, CancelTrainException
from fastai.callback.schedule import LRFinder, ParamScheduler
from fastai.learner import Recorder, save_model
from torch import Tensor

from onstage import Run
from onstage.hosts import HostCallback, HostView, file_writer, log_name
from onstage.logs import Logs
from onstage_fastai.view import LearnerView


class OnstageCallback(HostCallback, Callback):
    """Runs callbacks of onstage in the fit of a Learner.

    fastai reports no errors to callbacks. To fire on_exception and on_teardown
    after one, write ``with callback: learn.fit(3)``.

    Parameters
    ----------
    callbacks
        Instances, names of installed callbacks, ``{"name": {option: value}}``,
        or nested lists of these.
    verbose
        1 adds onstage's progress bar, 2 a line per epoch.

    Examples
    --------
    >>> from onstage_fastai import OnstageCallback
    >>> callback = OnstageCallback(["csv_logger", {"early_stopping": {"patience": 3}}])
    >>> learn = Learner(dls, model, cbs=[callback])  # doctest: +SKIP
    """

    host = "fastai"
    lacks: ClassVar[dict[str, str]] = {
        "state_dict": "use SaveModelCallback(every_epoch=True, with_opt=True)",
        "load_state_dict": "use Learner.load and fit(start_epoch=…)",
        "snapshot": "save without save_in_background",
        "finalize_weights": "average the weights with torch.optim.swa_utils.AveragedModel",
    }
    order = Recorder.order + 1  # has the metrics; before those that stop and save
    _stateattrs = ("active_run", "_emit_gradients")  # not in an exported Learner
    active_run: Run | None = None
    _emit_gradients: Callable[[list[Any]], None] | None = None
    _began = False
    run: bool = True  # of fastai: off for the rest of a training if False

    def __call__(self, event_name: str) -> None:
        """Call the method of an event; an error keeps its message, which fastai replaces."""
        if self.run and hasattr(type(self), event_name):
            getattr(self, event_name)()
        if event_name == "after_fit":
            self.run = True

    # -- the training

    def before_fit(self) -> None:
        """Wait for the first epoch: a validation alone has this event too."""
        self._began = False
        self._train_logs: Logs = {}

    def before_train(self) -> None:
        """Begin the epoch, and before the first the run; not in ``lr_find``."""
        learn = self.learn
        if any(isinstance(each, LRFinder) for each in learn.cbs):
            return
        if not self._began:
            self._began = True
            self.start(
                self._view(learn),
                epochs=learn.n_epoch,
                initial_epoch=learn.epoch,
                steps=len(learn.dls.train),
                batch_size=getattr(learn.dls.train, "bs", None),
            )
        self.begin("epoch", learn.epoch)

    def before_batch(self) -> None:
        """Begin a batch of the training or of the validation."""
        if self._in_epoch and (self.learn.training or self._validates):
            data = (*self.learn.xb, *self.learn.yb)
            self.begin("train_batch" if self.learn.training else "test_batch", self.learn.iter, data=data)

    def after_batch(self) -> None:
        """End the batch with its loss, which fastai smoothes; skip the others if a callback stops."""
        if not (self._in_epoch and (self.learn.training or self._validates)):
            return
        logs = _scalars({"loss": self.learn.loss}) if len(self.learn.yb) else {}
        if not self.learn.training:
            self.end("test_batch", logs)
        elif not self.end("train_batch", logs):
            raise CancelTrainException

    def before_step(self) -> None:
        """Pass the gradients on, if a callback acts in on_optimizer_step_begin."""
        if self._emit_gradients is not None:
            self._emit_gradients([each.grad for each in self.learn.model.parameters() if each.requires_grad])

    def after_epoch(self) -> None:
        """End the epoch, and stop if a callback asks to."""
        if self._in_epoch and not self.end("epoch", self._train_logs):
            raise CancelFitException

    def after_fit(self) -> None:
        """End the run."""
        if self._began:
            self.finish()

    @property
    def _in_epoch(self) -> bool:
        return self._began and self.active_run is not None and self.active_run.epoch_open

    # -- the validation

    def before_validate(self) -> None:
        """Begin the validation of an epoch."""
        if self._validates:
            self.begin("test")

    def after_train(self) -> None:
        """Keep the metrics of the training, which the validation resets."""
        self._train_logs = self._metrics("train_metrics")

    def after_validate(self) -> None:
        """End the validation with its metrics."""
        if self._validates:
            self.end("test", self._metrics("valid_metrics"))

    @property
    def _validates(self) -> bool:
        """Whether it is the validation of an epoch, not a prediction of another callback."""
        return self._in_epoch and self.learn.dl is self.learn.dls.valid

    def _metrics(self, option: str) -> Logs:
        if not getattr(getattr(self.learn, "recorder", None), option, False):
            return {}
        return _scalars({each.name: each.value for each in self.learn.metrics})

    # -- the model

    def _view(self, learn: Any) -> HostView:
        lacks = dict(self.lacks)
        if any(isinstance(each, ParamScheduler) and "lr" in each.scheds for each in learn.cbs):
            lacks["learning_rate"] = "ParamScheduler sets it: use Learner.fit, not fit_one_cycle"

        def set_gradient_callback(function: Callable[[list[Any]], None] | None) -> None:
            self._emit_gradients = function

        view = LearnerView(learn)
        return HostView(
            view,
            self.host,
            lacks,
            rank=view.rank,
            agree=view.any_process if view.world > 1 else None,
            save=file_writer(lambda path: save_model(path, learn.model, learn.opt)),
            set_gradient_callback=set_gradient_callback,
        )


def _scalars(values: Mapping[str, Any]) -> Logs:
    """Return the single numbers among values, under the names of onstage."""
    logs: Logs = {}
    for name, value in values.items():
        if isinstance(value, Tensor) and value.numel() == 1:
            logs[log_name(name)] = value.detach().as_subclass(Tensor).reshape(())
        elif isinstance(value, int | float) and not isinstance(value, bool):
            logs[log_name(name)] = value
    return logs
