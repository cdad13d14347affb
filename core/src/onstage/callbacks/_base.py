"""Callback: the optional base class of callbacks.

Any object with stage methods works. The base class adds `model`, `params` and
`run`, a `stop` that records the callback, and a ``super().on_…()`` for every stage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from onstage.model import State

if TYPE_CHECKING:
    from onstage.context import RunContext

Params = dict[str, Any]


class _ValidationData:
    """The validation data of the run; an attribute that a callback sets itself hides it."""

    def __get__(self, callback: Callback | None, owner: type) -> Any:
        return None if callback is None else getattr(callback.run, "validation_data", None)


class Callback:
    """Base class of callbacks: override the stages you need.

    See `onstage.hookspecs` for the stages and their arguments. Methods that are
    not overridden are never called.

    Attributes
    ----------
    model
        The model being trained; None in a run without one.
    params
        ``{"verbose", "epochs", "steps", "batch_size", "samples"}``, None if unknown;
        empty outside a run. In ``fit`` also ``"metrics"``, the names in the logs
        of an epoch, and ``"do_validation"``, as in Keras 2.
    validation_data
        Validation data of ``fit`` as it was passed or split, ``(x, y)`` for
        arrays; None without. As in Keras 2, a callback may set its own.
    run
        The current run: an `onstage.Run`, or that of another trainer.
    on_error
        ``"raise"``: an error in this callback ends the training. ``"disable"``:
        it becomes a warning, and the run continues without this callback.
        ``"retry"``: an OSError becomes a warning, and the callback is called
        again; the third one in a row ends the training, see `failures`.
    failures
        Number of errors in a row under ``"retry"``. The callback sets it to 0
        after each success; None before the first one: then an error, such as
        that of a wrong path, is raised.
    ranks
        In a run of several processes, call it on rank ``"zero"`` only or on ``"all"``.
    before, after
        Names of callbacks (entry point or class) that this one must precede or follow.
    adds_logs
        Names that this callback adds to the logs, None if undeclared. If all
        callbacks declare them, a misspelt ``monitor`` is refused before training.
    hookspecs
        Stages that this callback adds: a class of methods marked with
        ``@onstage.hookspec``. Other callbacks implement them by name, and
        ``run.emit`` fires them.
    shows_progress
        Whether it shows the progress on the terminal: it is called last, and a run
        adds no bar of its own.
    skips
        Stages in which this object is not called, although its class implements
        them, such as a costly one that an option turns off: their names, or the
        methods, ``(MyCallback.on_epoch_end,)``, so that a subclass that overrides
        one is called. Read at registration.
    needs
        Attributes of the model that this callback requires, such as
        ``("get_weights", "set_weights")``; options may set it on the object. A
        run whose model lacks one raises TypeError when it starts. ``"batches"``:
        training batches, which some other trainers do not have.
    optional
        Needs that this callback can do without: ``("batches",)`` if it acts in
        training batches, but is useful without them too.

    Examples
    --------
    >>> from onstage import Callback, hookspec
    >>> from onstage.testing import replay
    >>> class Target(Callback):
    ...     def __init__(self, loss):
    ...         self.loss = loss
    ...     def on_epoch_end(self, epoch, logs):
    ...         if logs["loss"] <= self.loss:
    ...             self.stop(f"loss {logs['loss']} reached")
    >>> result = replay(Target(0.5), [{"loss": 0.9}, {"loss": 0.4}, {"loss": 0.3}])
    >>> result.epochs_run, result.stop_reason
    (2, 'loss 0.4 reached')

    A callback that adds a stage of its own, and one that implements it:

    >>> class Stages:
    ...     @hookspec
    ...     def on_record(self, epoch, run=None):
    ...         "Fire when the loss is the lowest so far."
    >>> class Records(Callback):
    ...     hookspecs = Stages
    ...     best = float("inf")
    ...     def on_epoch_end(self, epoch, logs):
    ...         if logs["loss"] < self.best:
    ...             self.best = logs["loss"]
    ...             self.run.emit("on_record", epoch=epoch)
    >>> class Prints:
    ...     def on_record(self, epoch):
    ...         print("record in epoch", epoch)
    >>> _ = replay([Records(), Prints()], [{"loss": 0.9}, {"loss": 0.4}])
    record in epoch 0
    record in epoch 1
    """

    on_error: Literal["raise", "disable", "retry"] = "raise"
    failures: int | None = None
    ranks: ClassVar[Literal["zero", "all"]] = "all"
    before: str | tuple[str, ...] = ()
    after: str | tuple[str, ...] = ()
    adds_logs: ClassVar[tuple[str, ...] | None] = None
    hookspecs: ClassVar[type | None] = None
    shows_progress: ClassVar[bool] = False
    skips: tuple[str | Callable[..., Any], ...] = ()
    needs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    model: Any = None
    validation_data: Any = _ValidationData()
    params: Params = {}  # noqa: RUF012  # replaced by set_params, never changed
    run: RunContext | None = None

    def set_model(self, model: Any) -> None:
        """Set the model; called before any stage."""
        self.model = model

    def set_params(self, params: Params) -> None:
        """Set the parameters of the training; called before any stage."""
        self.params = params

    def set_run(self, run: RunContext | None) -> None:
        """Set the run, before any stage; None, or the run around it, when it is over."""
        self.run = run

    def stop(self, reason: str) -> None:
        """Stop the training; History records the reason and this callback.

        The remaining batches of the epoch are skipped; its validation,
        on_epoch_end and on_train_end still fire.
        """
        if self.run is not None:
            self.run.stop(reason, by=self)
        elif self.model is not None:
            self.model.stop_training = True

    def describe_progress(self) -> str:
        """Return a few words for the progress bar, ``"3/8 without improvement"``; empty for none."""
        return ""

    def state_dict(self) -> State:
        """Return the state that a resumed run needs; see `onstage.model.State`."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Restore a state of `state_dict`; called after on_train_begin."""

    def __repr__(self) -> str:
        from onstage.callbacks._settings import format_settings  # imported late: most runs show none

        return format_settings(self)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle all attributes except the run and the model."""
        return {name: value for name, value in vars(self).items() if name not in ("run", "model")}

    # Any, Any: the only signature that lets a subclass declare any of the
    # arguments and still pass a strict type check.
    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Act before the first epoch: ``(logs)``."""

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        """Act after the last epoch: ``(logs)``."""

    def on_epoch_begin(self, *args: Any, **kwargs: Any) -> None:
        """Act before an epoch: ``(epoch, logs)``."""

    def on_epoch_end(self, *args: Any, **kwargs: Any) -> None:
        """Act after an epoch and its validation: ``(epoch, logs)``."""

    def on_train_batch_begin(self, *args: Any, **kwargs: Any) -> None:
        """Act before a training batch: ``(batch, logs)``; calls on_batch_begin."""
        self.on_batch_begin(*args, **kwargs)

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Act after a training batch: ``(batch, logs)``; calls on_batch_end."""
        self.on_batch_end(*args, **kwargs)

    def on_optimizer_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """Act between backward and update: ``(batch, gradients)``."""

    def on_batch_begin(self, *args: Any, **kwargs: Any) -> None:
        """Act before a training batch: ``(batch, logs)``."""

    def on_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Act after a training batch: ``(batch, logs)``."""

    def on_test_begin(self, *args: Any, **kwargs: Any) -> None:
        """Act before an evaluation or a validation: ``(logs)``."""

    def on_test_end(self, *args: Any, **kwargs: Any) -> None:
        """Act after an evaluation or a validation: ``(logs)``."""

    def on_test_batch_begin(self, *args: Any, **kwargs: Any) -> None:
        """Act before a test batch: ``(batch, logs)``."""

    def on_test_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Act after a test batch: ``(batch, logs)``."""

    def on_predict_begin(self, *args: Any, **kwargs: Any) -> None:
        """Act before a prediction: ``(logs)``."""

    def on_predict_end(self, *args: Any, **kwargs: Any) -> None:
        """Act after a prediction: ``(logs)``."""

    def on_predict_batch_begin(self, *args: Any, **kwargs: Any) -> None:
        """Act before a prediction batch: ``(batch, logs)``."""

    def on_predict_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Act after a prediction batch: ``(batch, logs)``, with ``logs["outputs"]``."""

    def on_exception(self, *args: Any, **kwargs: Any) -> None:
        """Act after an exception: ``(exception)``."""

    def on_teardown(self, *args: Any, **kwargs: Any) -> None:
        """Close files and threads; always called, once, last."""


# The mark that Keras uses too: an inherited default does not implement its stage.
for _name, _method in tuple(vars(Callback).items()):
    if _name.startswith("on_") and callable(_method):
        _method._is_default = True
