"""DrivenRun: drive a run by its loops, or by begin and end of each stage."""

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
        """Begin a stage, for a program that has its own loop.

        Enclosing stages that are not open are opened, open stages beside it
        are closed.

        Parameters
        ----------
        stage
            ``"train"``, ``"epoch"``, ``"train_batch"``, ``"test"``,
            ``"test_batch"``, ``"predict"`` or ``"predict_batch"``.
        number
            Number of the epoch or batch, from 0; None for the next one.
        data
            Data of the batch, for ``run.batch_data``.

        Raises
        ------
        ValueError
            If the stage is unknown.
        RuntimeError
            If the run is not open.

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
        """End a stage; open stages inside it are closed.

        Parameters
        ----------
        stage
            As in `begin`.
        logs
            For a batch: its values, which are averaged over the stage. For
            other stages: values to add to their logs, replacing equal names.
        samples
            Number of samples that the values of a batch are means of; None:
            the length of its data.
        running
            Whether the values of a batch are already running means.

        Returns
        -------
        bool
            Whether to continue; False if a callback asked to stop.

        Raises
        ------
        ValueError
            If the stage is unknown.
        RuntimeError
            If the stage, or the run, is not open.
        Interrupted
            If a signal of `stop_on_signal` was received; pass it to `close`.
        """
        self._check_open()
        return self._pushed.end(stage, logs or {}, samples, running)

    def _check_open(self) -> None:
        if not self._opened or self._over:
            raise RuntimeError("a Run must be open: use it in `with Run(…) as run:`, or call run.open()")

    # -- pulled: the loops of the run

    def epochs(self) -> EpochLoop:
        """Begin the training, and iterate over the numbers of the remaining epochs.

        Raises
        ------
        RuntimeError
            If the run is not open, or has trained before.
        """
        self._open_training()
        return EpochLoop(self, self._lifecycle)

    def _open_training(self) -> None:
        self._check_open()
        self._lifecycle.open_training()

    def batches(self, data: Iterable[Any], accumulator: MetricAccumulator | None = None) -> BatchLoop:
        """Iterate over the training batches of an epoch.

        Parameters
        ----------
        data
            Iterable of the arguments of a step, of any type. A run resumed
            within an epoch continues at the position that it saves with
            ``state_dict``, as a torch DataLoader does with a torch model;
            otherwise batches are skipped by number, with a warning.
        accumulator
            Accumulates the metrics of a `Model`; None averages the values of `log`.

        Raises
        ------
        RuntimeError
            If no epoch is open.
        """
        if not self._lifecycle.epoch_open:
            raise RuntimeError(
                "run.batches must be inside `for epoch in run.epochs()`; "
                "for a loop without epochs use run.steps(data)"
            )
        data = self._with_position(data)
        return BatchLoop(self, self._lifecycle, "train", data, accumulator or RunningMeans())

    def _with_position(self, data: Iterable[Any]) -> Iterable[Any]:
        """Let the model add a position that can be saved, if its library's data has none."""
        if hasattr(data, "state_dict") or not hasattr(self.model, "with_position"):
            return data
        made: Iterable[Any] = self.model.with_position(data)
        return made

    def steps(self, data: Iterable[Any]) -> StepLoop:
        """Iterate over training batches without epochs; they all form one epoch."""
        self._open_training()
        self._lifecycle.open_epoch(self.initial_epoch)
        return StepLoop(self, self._lifecycle, "train", self._with_position(data), RunningMeans())

    def test_batches(self, data: Iterable[Any], accumulator: MetricAccumulator | None = None) -> BatchLoop:
        """Iterate over the batches of an evaluation or, in an epoch, a validation.

        This closes the open training batch: call its `log` before.
        """
        return BatchLoop(self, self._lifecycle, "test", data, accumulator or RunningMeans())

    def predict_batches(self, data: Iterable[Any]) -> BatchLoop:
        """Iterate over the batches of a prediction; `log` the ``outputs`` of each."""
        return BatchLoop(self, self._lifecycle, "predict", data, RunningMeans())

    def log(
        self, values: Mapping[str, Any] | None = None, /, *, samples: float | None = None, **named: Any
    ) -> None:
        """Record values of the current batch, each a mean over its samples.

        Outside a batch, the values are added unchanged to the logs of the epoch.

        Parameters
        ----------
        values, **named
            Numbers, or scalar tensors of any library, which are converted only
            if they are read.
        samples
            Number of samples that the values are means of; None: the length of
            the batch.

        Raises
        ------
        RuntimeError
            If neither a batch nor an epoch is open, or if a model accumulates
            the metrics.
        """
        given = named if values is None else {**values, **named}
        loops = self._lifecycle.loops
        if loops and loops[-1].is_open:
            loops[-1].log(given, samples)
        elif self._lifecycle.epoch_open:
            self._lifecycle.epoch_logs.update(given)
        else:
            raise RuntimeError("run.log must be inside an epoch or a batch; open one with run.epochs()")
