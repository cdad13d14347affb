"""The contract: every stage of training, its arguments, its order.

A callback is any object that has some of these methods. It names only the
arguments that it wants. ``epoch`` and ``batch`` count from 0. ``logs`` is one
dict for all callbacks of the event: what one adds, the later ones and the
History see; the trainer never reads it back. ``run`` is a `onstage.context.RunContext`: the `onstage.Run`.

One call of ``fit``::

    on_train_begin {}
      on_epoch_begin e {}
        on_train_batch_begin b {}            or on_batch_begin
          on_optimizer_step_begin b gradients
        on_train_batch_end   b {loss, …}     or on_batch_end
        on_test_begin {}                     only where there is validation
          on_test_batch_begin b {}
          on_test_batch_end   b {loss, …}
        on_test_end {loss, …}
      on_epoch_end e {loss, …, val_loss, …}
    on_train_end {the last epoch's logs}
    on_teardown                              always, once, in reverse order

``evaluate`` fires the test stages alone, ``predict`` the predict stages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pluggy

from onstage.logs import Logs

if TYPE_CHECKING:
    from onstage.context import RunContext

PROJECT = "onstage"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a method as a hook; needed only for ``tryfirst``, ``trylast``, ``wrapper``."""


class Stages:
    """The hook specifications, in the order in which a training meets them.

    The defaults are what an implementation gets when a program that calls
    ``bus.hook`` by hand leaves the argument out.
    """

    @hookspec
    def on_train_begin(self, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire once before the first epoch; logs is ``{}``.

        Settings are final, the model is built, ``model`` and ``params`` are
        set. State of an earlier run is reset here.
        """

    @hookspec
    def on_epoch_begin(self, epoch: int, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire before an epoch's first batch; logs is ``{}``.

        The learning rate may be changed here.
        """

    @hookspec
    def on_train_batch_begin(
        self, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> None:
        """Fire before a training step; its data is at ``run.batch_data``."""

    @hookspec
    def on_batch_begin(self, batch: int, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire as on_train_batch_begin, whose other name this is.

        Of a callback that has both, only that one is called.
        """

    @hookspec
    def on_optimizer_step_begin(
        self, batch: int, gradients: Sequence[Any], run: RunContext | None = None
    ) -> None:
        """Fire between backward and update, if a callback acts in it.

        gradients are those of the trainable weights, in their order: live
        arrays or tensors, so that a change in place changes the update; None
        for a weight without one. Batches that are accumulated make one step;
        a step that a loss scaler skips fires nothing.
        """

    @hookspec
    def on_train_batch_end(self, batch: int, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire after a training step.

        logs holds the sample-weighted running means since the epoch began,
        computed before each batch's update; the batch's own values are at
        ``run.batch_logs``.
        """

    @hookspec
    def on_batch_end(self, batch: int, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire as on_train_batch_end, whose other name this is.

        Of a callback that has both, only that one is called.
        """

    @hookspec
    def on_test_begin(self, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire before an evaluation, or the validation of an epoch; logs is ``{}``."""

    @hookspec
    def on_test_batch_begin(
        self, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> None:
        """Fire before a batch of an evaluation or validation; logs is ``{}``."""

    @hookspec
    def on_test_batch_end(self, batch: int, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire after a test batch; logs holds running means without a ``val_`` prefix."""

    @hookspec
    def on_test_end(self, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire after an evaluation or validation, with its metrics."""

    @hookspec
    def on_epoch_end(self, epoch: int, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire after an epoch and its validation.

        logs holds the epoch's metrics, and those of the validation under
        ``val_`` names in epochs that had one. Fires also for an epoch that was
        stopped in the middle.
        """

    @hookspec
    def on_train_end(self, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire once after the last epoch, with that epoch's logs.

        Not after an exception: then on_exception comes instead.
        """

    @hookspec
    def on_predict_begin(self, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire before a prediction; logs is ``{}``."""

    @hookspec
    def on_predict_batch_begin(
        self, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> None:
        """Fire before a batch of a prediction; logs is ``{}``."""

    @hookspec
    def on_predict_batch_end(
        self, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> None:
        """Fire after a batch of a prediction; ``logs["outputs"]`` are its outputs."""

    @hookspec
    def on_predict_end(self, logs: Logs | None = None, run: RunContext | None = None) -> None:
        """Fire after a prediction; logs is ``{}``."""

    @hookspec
    def on_exception(self, exception: BaseException, run: RunContext | None = None) -> None:
        """Fire when anything in the run has raised, Ctrl-C included.

        An error raised here becomes a note on the first one, which is the one
        that comes out. Wrappers are refused.
        """

    @hookspec
    def on_teardown(self, run: RunContext | None = None) -> None:
        """Fire last, once, however the run ended, in reverse order.

        Close files and threads here. Wrappers are refused.
        """


ALIASES = {"on_batch_begin": "on_train_batch_begin", "on_batch_end": "on_train_batch_end"}
"""Keras's second names: a method of one is a method of the other stage."""

STAGES: tuple[str, ...] = tuple(name for name in vars(Stages) if name.startswith("on_"))
"""The names of all stages, in the order of `Stages`."""
