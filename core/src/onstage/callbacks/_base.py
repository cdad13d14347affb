"""Callback: the optional base class of callbacks.

Any object with stage methods works. The base gives `model`, `params` and `run`,
a `stop` that says who asked, and ``super().on_…()`` that is always there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from onstage.model import State

if TYPE_CHECKING:
    from onstage.context import RunContext

Params = dict[str, Any]


class Callback:
    """Base of callbacks; override the stages that you want, see `hookspecs`.

    A method names only the arguments that it uses:
    ``def on_epoch_end(self, epoch, logs)`` and ``def on_epoch_end(self, logs)``
    are both fine. What is merely inherited from here is never called.

    Attributes
    ----------
    model
        The model being trained, or None where the run has none.
    params
        ``{"verbose", "epochs", "steps", "batch_size", "samples"}``, None where unknown.
    run
        The `Run` that this callback takes part in.
    on_error
        ``"raise"``: an error here ends the training. ``"disable"``: it becomes
        a warning, and the run goes on without this callback.
    ranks
        In a run of several processes: called on rank ``"zero"`` only, or on ``"all"``.
    before, after
        Names of callbacks (entry point or class) that this one must precede or follow.
    adds_logs
        The names that this callback adds to the logs; None where that is not
        declared. Lets a misspelt ``monitor`` be refused before training.
    hookspecs
        Stages of its own that this callback brings: a class of methods marked
        with ``@onstage.hookspec``. Other callbacks act in them by name, and
        ``run.emit`` fires them.
    skips
        Names of stages that this object does not act in, although its class
        does: options leave out a costly stage. Read when it is registered.
    needs
        Attributes of the model that this callback can't do without, such as
        ``("get_weights", "set_weights")``; may be set on the object, by its
        options. A run whose model lacks one is refused when it starts.
    """

    on_error: Literal["raise", "disable"] = "raise"
    ranks: ClassVar[Literal["zero", "all"]] = "all"
    before: str | tuple[str, ...] = ()
    after: str | tuple[str, ...] = ()
    adds_logs: ClassVar[tuple[str, ...] | None] = None
    hookspecs: ClassVar[type | None] = None
    skips: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    model: Any = None
    params: Params
    run: RunContext | None = None

    def set_model(self, model: Any) -> None:
        """Receive the model, before any stage."""
        self.model = model

    def set_params(self, params: Params) -> None:
        """Receive the training's parameters, before any stage."""
        self.params = params

    def set_run(self, run: RunContext | None) -> None:
        """Receive the run, before any stage; None when it is over."""
        self.run = run

    def stop(self, reason: str) -> None:
        """Ask for the end of the training; History records reason and asker.

        The batches left in this epoch are skipped; validation, on_epoch_end and
        on_train_end still fire.
        """
        if self.run is not None:
            self.run.stop(reason, by=self)
        elif self.model is not None:
            self.model.stop_training = True

    def state_dict(self) -> State:
        """Give what a resumed run needs; see `onstage.model.State`."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Continue from what `state_dict` gave; called after on_train_begin."""

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the settings and the state, not the run or the model."""
        return {name: value for name, value in vars(self).items() if name not in ("run", "model")}

    # Any, Any: the one signature that lets a subclass name just the arguments
    # that it uses and still pass a strict type check.
    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Act before the first epoch: ``(logs)``."""

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        """Act after the last epoch: ``(logs)``."""

    def on_epoch_begin(self, *args: Any, **kwargs: Any) -> None:
        """Act before an epoch: ``(epoch, logs)``."""

    def on_epoch_end(self, *args: Any, **kwargs: Any) -> None:
        """Act after an epoch and its validation: ``(epoch, logs)``."""

    def on_train_batch_begin(self, *args: Any, **kwargs: Any) -> None:
        """Act before a training batch: ``(batch, logs)``."""

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Act after a training batch: ``(batch, logs)``."""

    def on_optimizer_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """Act between backward and update: ``(batch, gradients)``."""

    def on_batch_begin(self, *args: Any, **kwargs: Any) -> None:
        """Act before a training batch: ``(batch, logs)``."""

    def on_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Act after a training batch: ``(batch, logs)``."""

    def on_test_begin(self, *args: Any, **kwargs: Any) -> None:
        """Act before an evaluation or validation: ``(logs)``."""

    def on_test_end(self, *args: Any, **kwargs: Any) -> None:
        """Act after an evaluation or validation: ``(logs)``."""

    def on_test_batch_begin(self, *args: Any, **kwargs: Any) -> None:
        """Act before a test batch: ``(batch, logs)``."""

    def on_test_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Act after a test batch: ``(batch, logs)``."""

    def on_predict_begin(self, *args: Any, **kwargs: Any) -> None:
        """Act before a prediction: ``(logs)``."""

    def on_predict_end(self, *args: Any, **kwargs: Any) -> None:
        """Act after a prediction: ``(logs)``."""

    def on_predict_batch_begin(self, *args: Any, **kwargs: Any) -> None:
        """Act before a batch of a prediction: ``(batch, logs)``."""

    def on_predict_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Act after a batch of a prediction: ``(batch, logs)``, with ``outputs``."""

    def on_exception(self, *args: Any, **kwargs: Any) -> None:
        """Act when something has raised: ``(exception)``."""

    def on_teardown(self, *args: Any, **kwargs: Any) -> None:
        """Close what is open; always called, once, last."""


# As Keras marks its own: a method that is merely inherited from here is no implementation.
for _name, _method in tuple(vars(Callback).items()):
    if _name.startswith("on_") and callable(_method):
        _method._is_default = True
