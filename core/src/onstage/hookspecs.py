"""The contract: every stage of training, its arguments, its order.

A callback is any object with methods named after stages. A method declares
only the arguments that it uses:

>>> class LossPrinter:
...     def on_epoch_end(self, epoch, logs):
...         print(epoch, logs["loss"])

It may also take Keras's arguments, which are all but ``run``, in Keras's order
under any names: ``def on_epoch_end(self, e, l={})``, or by ``*args``. A further
parameter with a default keeps it if all of Keras's arguments are there by name.
Anything else is refused at registration. Stages that Keras lacks (those of
plugins, on_optimizer_step_begin, on_exception, on_teardown) pass arguments only
by name.

``epoch`` and ``batch`` count from 0. ``logs`` maps metric names to values; the
callbacks of an event share one dict, so that an entry that one adds is visible
to those after it and to the History. The trainer never reads it back. ``run``
is the `onstage.Run`, or the `onstage.context.RunContext` of another trainer.

``fit`` fires, with the numbers and logs shown::

    on_train_begin {}
      on_epoch_begin e {}
        on_train_batch_begin b {}            or on_batch_begin
          on_optimizer_step_begin b gradients
        on_train_batch_end   b {loss, …}     or on_batch_end
        on_test_begin {}                     only with validation
          on_test_batch_begin b {}
          on_test_batch_end   b {loss, …}
        on_test_end {loss, …}
      on_epoch_end e {loss, …, val_loss, …}
    on_train_end {logs of the last epoch}
    on_teardown                              always, once, in reverse order

``evaluate`` fires only the test stages, ``predict`` only the predict stages,
then on_teardown. After an exception, only on_exception and on_teardown fire.

Callbacks are called in list order. `hookimpl` changes that as in pluggy:

>>> class LastPrinter:
...     @hookimpl(trylast=True)
...     def on_epoch_end(self, epoch, logs):
...         print("sees every entry of", sorted(logs))

`hookspec` marks a stage of your own: see `onstage.Callback.hookspecs`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from onstage.logs import Logs

if TYPE_CHECKING:
    from onstage.context import RunContext

PROJECT = "onstage"

hookspec = pluggy.HookspecMarker(PROJECT)
"""Marks a method as the specification of a stage."""

hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a stage method; needed only for ``tryfirst``, ``trylast``, ``wrapper``, ``specname``."""


class Stages:
    """The hook specifications, in the order in which a training fires them.

    An implementation receives the default of an argument that a direct call
    of ``bus.hook`` omits.
    """

    @hookspec
    def on_train_begin(self, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire once before the first epoch; logs is ``{}``.

        Settings are final, the model is built, and ``model`` and ``params`` are
        set. Reset the state of an earlier run here.
        """

    @hookspec
    def on_epoch_begin(self, epoch: int, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire before the first batch of an epoch; logs is ``{}``.

        The learning rate may be changed here.
        """

    @hookspec
    def on_train_batch_begin(
        self, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> None:
        """Fire before a training step on ``run.batch_data``; logs is ``{}``."""

    @hookspec
    def on_batch_begin(self, batch: int, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire as on_train_batch_begin: another name of the same stage.

        If a callback has both methods, only on_train_batch_begin is called.
        """

    @hookspec
    def on_optimizer_step_begin(
        self, batch: int, gradients: Sequence[Any], run: RunContext | None = None
    ) -> None:
        """Fire between backward and update, if a callback implements it.

        gradients are those of the trainable weights, in their order, None for
        a weight without one. They are live arrays or tensors: changing them in
        place changes the update. Gradient accumulation fires once for each
        update; a step that a loss scaler skips fires nothing. A model that
        cannot provide gradients is refused when training begins.
        """

    @hookspec
    def on_train_batch_end(self, batch: int, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire after a training step.

        logs holds the sample-weighted running means since the epoch began, of
        values computed before each update; ``run.batch_logs`` holds the
        values of this batch alone.
        """

    @hookspec
    def on_batch_end(self, batch: int, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire as on_train_batch_end: another name of the same stage.

        If a callback has both methods, only on_train_batch_end is called.
        """

    @hookspec
    def on_test_begin(self, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire before an evaluation or a validation; logs is ``{}``."""

    @hookspec
    def on_test_batch_begin(
        self, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> None:
        """Fire before a test batch; logs is ``{}``."""

    @hookspec
    def on_test_batch_end(self, batch: int, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire after a test batch; logs holds running means without a ``val_`` prefix."""

    @hookspec
    def on_test_end(self, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire after an evaluation or a validation, with its metrics."""

    @hookspec
    def on_epoch_end(self, epoch: int, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire after an epoch and its validation.

        logs holds the metrics of the epoch and, if it had a validation, those
        of the validation under ``val_`` names. An epoch that was stopped early
        fires it too.
        """

    @hookspec
    def on_train_end(self, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire once after the last epoch, with the trainer's logs of that epoch.

        After an exception, on_exception fires instead.
        """

    @hookspec
    def on_predict_begin(self, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire before a prediction; logs is ``{}``."""

    @hookspec
    def on_predict_batch_begin(
        self, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> None:
        """Fire before a prediction batch; logs is ``{}``."""

    @hookspec
    def on_predict_batch_end(
        self, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> None:
        """Fire after a prediction batch; ``logs["outputs"]`` holds its outputs."""

    @hookspec
    def on_predict_end(self, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire after a prediction; logs is ``{}``."""

    @hookspec
    def on_exception(self, exception: BaseException, run: RunContext | None = None) -> None:
        """Fire after an exception in the run, Ctrl-C included.

        The exception propagates; an error raised here becomes a note on it.
        Wrappers are refused.
        """

    @hookspec
    def on_teardown(self, run: RunContext | None = None) -> None:
        """Fire last, once, however the run ended, in reverse call order.

        Close files and threads here. Wrappers are refused.
        """


ALIASES = {"on_batch_begin": "on_train_batch_begin", "on_batch_end": "on_train_batch_end"}
"""Keras's alternative names, and the stages that they stand for."""

STAGES: tuple[str, ...] = tuple(name for name in vars(Stages) if name.startswith("on_"))
"""Names of all stages, in the order of `Stages`."""

KERAS_STAGES: tuple[str, ...] = tuple(
    name for name in STAGES if name not in ("on_optimizer_step_begin", "on_exception", "on_teardown")
)
"""Names of the stages that Keras has too; each offers Keras's arguments, then ``run``."""

_Method = TypeVar("_Method", bound=Callable[..., Any])


def ignores_logs(method: _Method) -> _Method:
    """Mark a stage method that takes ``logs`` but never reads them.

    They are not computed for it: it receives them empty, unless another
    callback reads them. A method that overrides it is not marked.

    >>> class CountsBatches:
    ...     count = 0
    ...
    ...     @ignores_logs
    ...     def on_train_batch_end(self, batch, logs=None):
    ...         self.count += 1
    """
    method._ignores_logs = True  # type: ignore[attr-defined]  # read by the compiler of the stages
    return method
