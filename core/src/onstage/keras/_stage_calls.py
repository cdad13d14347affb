"""StageCalls: Keras's names of the stages, as calls from outside."""

from __future__ import annotations

from onstage.logs import Logs
from onstage.run._pushed import PushedStage


class StageCalls:
    """The methods that a loop calls on a container of callbacks.

    Epochs and batches count from 0; the callbacks get the logs as they are.
    """

    def _begin(self, stage: PushedStage, number: int | None, logs: Logs | None) -> None:
        raise NotImplementedError

    def _end(self, stage: PushedStage, logs: Logs | None) -> None:
        raise NotImplementedError

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin the training."""
        self._begin("train", None, logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """End the training, and call on_teardown."""
        self._end("train", logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begin an epoch."""
        self._begin("epoch", epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """End the epoch."""
        self._end("epoch", logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Begin a training batch; `on_batch_begin` is another name."""
        self._begin("train_batch", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """End the training batch; `on_batch_end` is another name."""
        self._end("train_batch", logs)

    on_batch_begin = on_train_batch_begin
    on_batch_end = on_train_batch_end

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Begin an evaluation, or a validation inside an epoch."""
        self._begin("test", None, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """End the evaluation."""
        self._end("test", logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Begin a test batch."""
        self._begin("test_batch", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """End the test batch."""
        self._end("test_batch", logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Begin a prediction."""
        self._begin("predict", None, logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """End the prediction."""
        self._end("predict", logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Begin a prediction batch."""
        self._begin("predict_batch", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """End the prediction batch; its logs hold ``outputs``."""
        self._end("predict_batch", logs)
