"""The types of ``bus.hook``: one method for each stage, arguments by keyword.

They let a type checker find a wrong stage or argument in
``bus.hook.on_epoch_end(epoch=0, logs={})``. A test compares them with
`onstage.hookspecs.Stages`, which documents the stages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from onstage.logs import Logs

if TYPE_CHECKING:
    from onstage.context import RunContext


class HookCalls(Protocol):
    """Calls of the stages; each returns the results of its implementations except None."""

    def on_train_begin(self, *, logs: Logs | None = None, run: RunContext | None = None) -> list[object]:
        """Call the stage before the first epoch."""
        ...

    def on_epoch_begin(
        self, *, epoch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call the stage before the first batch of an epoch."""
        ...

    def on_train_batch_begin(
        self, *, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call the stage before a training step."""
        ...

    def on_batch_begin(
        self, *, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call on_train_batch_begin under its other name."""
        ...

    def on_optimizer_step_begin(
        self, *, batch: int, gradients: Sequence[Any], run: RunContext | None = None
    ) -> list[object]:
        """Call the stage between backward and update."""
        ...

    def on_train_batch_end(
        self, *, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call the stage after a training step."""
        ...

    def on_batch_end(
        self, *, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call on_train_batch_end under its other name."""
        ...

    def on_test_begin(self, *, logs: Logs | None = None, run: RunContext | None = None) -> list[object]:
        """Call the stage before an evaluation or a validation."""
        ...

    def on_test_batch_begin(
        self, *, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call the stage before a test batch."""
        ...

    def on_test_batch_end(
        self, *, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call the stage after a test batch."""
        ...

    def on_test_end(self, *, logs: Logs | None = None, run: RunContext | None = None) -> list[object]:
        """Call the stage after an evaluation or a validation."""
        ...

    def on_epoch_end(
        self, *, epoch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call the stage after an epoch and its validation."""
        ...

    def on_train_end(self, *, logs: Logs | None = None, run: RunContext | None = None) -> list[object]:
        """Call the stage after the last epoch."""
        ...

    def on_predict_begin(self, *, logs: Logs | None = None, run: RunContext | None = None) -> list[object]:
        """Call the stage before a prediction."""
        ...

    def on_predict_batch_begin(
        self, *, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call the stage before a prediction batch."""
        ...

    def on_predict_batch_end(
        self, *, batch: int, logs: Logs | None = None, run: RunContext | None = None
    ) -> list[object]:
        """Call the stage after a prediction batch."""
        ...

    def on_predict_end(self, *, logs: Logs | None = None, run: RunContext | None = None) -> list[object]:
        """Call the stage after a prediction."""
        ...

    def on_exception(self, *, exception: BaseException, run: RunContext | None = None) -> list[object]:
        """Call the stage after an exception."""
        ...

    def on_teardown(self, *, run: RunContext | None = None) -> list[object]:
        """Call the stage at the end of a run, in call order."""
        ...
