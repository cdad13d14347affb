"""The types of ``bus.hook``: one method for each stage, arguments by keyword.

A wrong stage or argument in ``bus.hook.on_epoch_end(epoch=0, logs={})`` is then
found by a type checker. A test holds it to `hookspecs.Stages`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from onstage.logs import Logs

if TYPE_CHECKING:
    from onstage.context import RunContext


class HookCalls(Protocol):
    """Calls of the stages; each gives the results of the implementations that had one."""

    def on_train_begin(self, *, logs: Logs | None = None, run: RunContext | None = None) -> list[object]:
        """Call what fires once before the first epoch; logs is ``{}``."""
        ...

    def on_epoch_begin(
        self, *, epoch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call what fires before an epoch's first batch; logs is ``{}``."""
        ...

    def on_train_batch_begin(
        self, *, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call what fires before a training step; its data is at ``run.batch_data``."""
        ...

    def on_batch_begin(
        self, *, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call on_train_batch_begin, whose other name this is."""
        ...

    def on_optimizer_step_begin(
        self, *, batch: int, gradients: Sequence[Any], run: RunContext | None = None
    ) -> list[object]:
        """Call what fires between backward and update."""
        ...

    def on_train_batch_end(
        self, *, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call what fires after a training step."""
        ...

    def on_batch_end(
        self, *, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call on_train_batch_end, whose other name this is."""
        ...

    def on_test_begin(self, *, logs: Logs | None = None, run: RunContext | None = None) -> list[object]:
        """Call what fires before an evaluation, or the validation of an epoch; logs is ``{}``."""
        ...

    def on_test_batch_begin(
        self, *, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call what fires before a batch of an evaluation or validation; logs is ``{}``."""
        ...

    def on_test_batch_end(
        self, *, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call what fires after a test batch; logs holds running means without a ``val_`` prefix."""
        ...

    def on_test_end(self, *, logs: Logs | None = None, run: RunContext | None = None) -> list[object]:
        """Call what fires after an evaluation or validation, with its metrics."""
        ...

    def on_epoch_end(
        self, *, epoch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call what fires after an epoch and its validation."""
        ...

    def on_train_end(self, *, logs: Logs | None = None, run: RunContext | None = None) -> list[object]:
        """Call what fires once after the last epoch, with that epoch's logs."""
        ...

    def on_predict_begin(self, *, logs: Logs | None = None, run: RunContext | None = None) -> list[object]:
        """Call what fires before a prediction; logs is ``{}``."""
        ...

    def on_predict_batch_begin(
        self, *, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call what fires before a batch of a prediction; logs is ``{}``."""
        ...

    def on_predict_batch_end(
        self, *, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call what fires after a batch of a prediction; ``logs["outputs"]`` are its outputs."""
        ...

    def on_predict_end(self, *, logs: Logs | None = None, run: RunContext | None = None) -> list[object]:
        """Call what fires after a prediction; logs is ``{}``."""
        ...

    def on_exception(self, *, exception: BaseException, run: RunContext | None = None) -> list[object]:
        """Call what fires when anything in the run has raised, Ctrl-C included."""
        ...

    def on_teardown(self, *, run: RunContext | None = None) -> list[object]:
        """Call what fires last, once, however the run ended, in reverse order."""
        ...
