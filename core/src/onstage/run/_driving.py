"""The two ways to drive a run: its loops are pulled, or another program pushes its stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from onstage.model import MetricAccumulator
from onstage.run._controls import RunControls
from onstage.run._loops import BatchLoop, EpochLoop, StepLoop
from onstage.run._pushed import PushedStage, PushedStages
from onstage.run._running_means import RunningMeans


class DrivenRun(RunControls):
    """The part of a `Run` that moves it from stage to stage."""

    initial_epoch: int
    _opened: bool
    _pushed: PushedStages

    # -- pushed: another program has the loop

    def begin(self, stage: PushedStage, number: int | None = None, *, data: Any = None) -> None:
        """Tell the run that a stage begins.

        Stages that must be open around it are opened, those that are open
        beside it are closed.

        Parameters
        ----------
        stage
            ``"train"``, ``"epoch"``, ``"train_batch"``, ``"test"``,
            ``"test_batch"``, ``"predict"`` or ``"predict_batch"``.
        number
            Of the epoch or the batch, from 0; None for the next one.
        data
            Of the batch, for ``run.batch_data``.

        Raises
        ------
        ValueError
            The stage is unknown.
        RuntimeError
            The run is not open.

        Examples
        --------
        >>> from onstage import Run
        >>> run = Run(callbacks=[], epochs=1).open()
        >>> run.begin("train_batch")
        >>> run.end("train_batch", {"loss": 0.5}, samples=32)
        True
        >>> run.close()
        >>> run.history.history
        {'loss': [0.5]}
        """
        self._check_open()
        self._pushed.begin(stage, number, data)

    def end(
        self,
        stage: PushedStage,
        logs: Mapping[str, Any] | None = None,
        *,
        samples: float | None = None,
        running: bool = False,
    ) -> bool:
        """Tell the run that a stage ends; stages inside it are closed.

        Parameters
        ----------
        logs
            Of a batch: its values, averaged over the stage. Of an epoch, a
            test or a prediction: added to its logs, or in their place.
        samples
            How many samples the values of a batch are means over; None: the
            length of its data.
        running
            Whether the values of a batch are running means already.

        Returns
        -------
        bool
            Whether to go on; False if a callback has asked to stop.

        Raises
        ------
        ValueError, RuntimeError
            The stage is unknown or not open.
        Interrupted
            A signal of `stop_on_signal` was received: pass it to `close`.
        """
        self._check_open()
        return self._pushed.end(stage, logs or {}, samples, running)

    def _check_open(self) -> None:
        if not self._opened or self._over:
            raise RuntimeError("a Run must be open: use it in `with Run(…) as run:`, or call run.open()")

    # -- pulled: the loops

    def epochs(self) -> EpochLoop:
        """Iterate over the epochs that are left; opens the training."""
        self._open_training()
        return EpochLoop(self, self._lifecycle)

    def _open_training(self) -> None:
        self._check_open()
        self._lifecycle.open_training()

    def batches(self, data: Iterable[Any], accumulator: MetricAccumulator | None = None) -> BatchLoop:
        """Iterate over training batches of an epoch.

        Parameters
        ----------
        data
            Gives whatever a step takes.
        totals
            Where a `Model` adds its metrics; None: what `log` is given is averaged.
        """
        if not self._lifecycle.epoch_open:
            raise RuntimeError(
                "run.batches must be inside `for epoch in run.epochs()`; "
                "for a loop without epochs use run.steps(data)"
            )
        return BatchLoop(self, self._lifecycle, "train", data, accumulator or RunningMeans())

    def steps(self, data: Iterable[Any]) -> StepLoop:
        """Iterate over training batches without epochs: the whole is epoch 0."""
        self._open_training()
        self._lifecycle.open_epoch(self.initial_epoch)
        return StepLoop(self, self._lifecycle, "train", data, RunningMeans())

    def test_batches(self, data: Iterable[Any], accumulator: MetricAccumulator | None = None) -> BatchLoop:
        """Iterate over batches of an evaluation; inside an epoch, its validation.

        A training batch that is open is closed first: log it before.
        """
        return BatchLoop(self, self._lifecycle, "test", data, accumulator or RunningMeans())

    def predict_batches(self, data: Iterable[Any]) -> BatchLoop:
        """Iterate over batches of a prediction; log each one's ``outputs``."""
        return BatchLoop(self, self._lifecycle, "predict", data, RunningMeans())

    def log(
        self, values: Mapping[str, Any] | None = None, /, *, samples: float | None = None, **named: Any
    ) -> None:
        """Record values of the current batch, each the mean over its samples.

        Outside a batch they go into the logs of the epoch as they are.

        Parameters
        ----------
        values, **named
            Numbers or scalar tensors of any library; read when somebody looks.
        samples
            How many samples they stand for; None: the length of the batch.
        """
        given = {**(values or {}), **named}
        loops = self._lifecycle.loops
        if loops and loops[-1].is_open:
            loops[-1].log(given, samples)
        elif self._lifecycle.epoch_open:
            self._lifecycle.epoch_logs.update(given)
        else:
            raise RuntimeError("run.log must be inside an epoch or a batch; open one with run.epochs()")
