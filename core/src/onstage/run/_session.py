"""Run: where a training is. The only thing that fires stages.

`trainer.Trainer.fit` is written on the public methods of this class, and a
loop of your own uses the same ones::

    with onstage.Run(model=model, callbacks=[EarlyStopping(), "csv_logger"], epochs=10) as run:
        for epoch in run.epochs():
            for x, y in run.batches(loader):
                run.log(loss=step(x, y))
            for x, y in run.test_batches(validation_loader):
                run.log(loss=evaluate(x, y))
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from onstage.bus._manager import Bus
from onstage.logs import Logs
from onstage.run import _requirements, _setup
from onstage.run._controls import stop_flags
from onstage.run._driving import DrivenRun
from onstage.run._lifecycle import RunLifecycle
from onstage.run._pushed import PushedStages


class Run(DrivenRun):
    """One training, evaluation or prediction, and the callbacks in it.

    Parameters
    ----------
    model
        What callbacks get as ``self.model``; may be None in a loop of one's own.
    callbacks
        Instances, names of installed callbacks, ``{"name": {option: value}}``;
        nested lists are fine.
    epochs
        The index after the last epoch, as in Keras; None: until somebody stops it.
    initial_epoch
        The first epoch.
    steps, batch_size, samples
        Of an epoch, for `params`; None where unknown.
    verbose
        0 silent, 1 a progress bar, 2 a line per epoch, "auto" by the terminal.
    metric_names
        All names that a model will put into the logs of on_epoch_end, where
        that is known: a misspelt ``monitor`` is then refused before the first step.
    profile
        Print at the end what each callback cost, stage by stage; None: as set
        in the environment or the project's settings.

    Attributes
    ----------
    bus
        The `Bus`; ``run.bus.register(plugin)`` works at any time.
    history
        The `History` of this run.
    params
        What callbacks get as ``self.params``.
    epoch, batch
        Where the run is, from 0; None outside.
    batch_data
        What the data gave for the current batch. Its arrays may be reused for
        the next one: copy what you keep.
    stop_reason, stopped_by
        What was given to `stop`, and by which callback; None until then.
    test_logs
        The metrics of the last evaluation or validation, without ``val_``.
    resumed
        Whether `load_state_dict` was called: files are continued, not begun.
    rank
        Of this process among several; 0 when there is one.
    interruption
        The `Interrupted` that will come out of the loop, from the moment when
        a signal has come that `stop_on_signal` takes; None until then.
    """

    def __init__(
        self,
        model: Any = None,
        callbacks: Any = None,
        *,
        epochs: int | None = 1,
        initial_epoch: int = 0,
        steps: int | None = None,
        batch_size: int | None = None,
        samples: int | None = None,
        verbose: int | str = 0,
        metric_names: Iterable[str] | None = None,
        profile: bool | None = None,
    ) -> None:
        self._opened = self._over = False
        self.model = model
        self.params = {
            "verbose": verbose,
            "epochs": epochs,
            "steps": steps,
            "batch_size": batch_size,
            "samples": samples,
        }
        self.initial_epoch = initial_epoch
        self.metric_names = None if metric_names is None else tuple(metric_names)
        self.rank = getattr(model, "rank", 0)
        self.epoch = self.batch = self.batch_data = None
        self.stop_reason = self.stopped_by = self.interruption = None
        self.test_logs: Logs = {}
        self.resumed = False
        self.flags = stop_flags(model)
        plugins, self.history = _setup.resolve_callbacks(callbacks, verbose, self.rank)
        self._report = _setup.report(profile)
        self.bus = Bus(plugins, instrument=self._report.instrument if self._report else None)
        self.bus.run = self
        self._lifecycle = RunLifecycle(self)
        self._pushed = PushedStages(self, self._lifecycle)
        self._signal_handlers = None

    # -- open and close

    def open(self) -> Self:
        """Begin the run: hand model, params and run to the callbacks.

        ``with Run(…) as run:`` does it, and closes the run at the end of the block.

        Raises
        ------
        RuntimeError
            The run was opened before.
        TypeError
            The model lacks something that a callback needs.
        """
        if self._opened:
            raise RuntimeError("a Run must be opened once; make a new one for another training")
        self._opened = True
        try:
            self.flags.stop_training = False
            _requirements.check((plugin for _, plugin in self.bus.plugins()), self.model)
            for _, plugin in self.bus.plugins():
                for setter, value in (
                    ("set_model", self.model),
                    ("set_params", self.params),
                    ("set_run", self),
                ):
                    if hasattr(plugin, setter):
                        getattr(plugin, setter)(value)
        except BaseException as error:
            self._end(error)
            raise
        return self

    def close(self, error: BaseException | None = None) -> None:
        """End the run; do nothing if it is over.

        Parameters
        ----------
        error
            The exception that ends it: on_exception fires. None: all stages
            that are open end. on_teardown fires in either case.
        """
        if self._over:
            return
        if error is None:
            try:
                self._lifecycle.close_training()
                self._lifecycle.close_loops()
            except BaseException as late:
                self._end(late)
                raise
        self._end(error)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(error)

    def _end(self, error: BaseException | None) -> None:
        self._over = True
        try:
            self._lifecycle.withdraw_gradients()
            if error is not None:
                self.bus.call_each_catching("on_exception", {"exception": error, "run": self}, error)
            failed = self.bus.call_each_catching("on_teardown", {"run": self}, error, backwards=True)
            if self._report:
                self._report.close()
            if error is None and failed is not None:
                raise failed
        finally:
            if self._signal_handlers is not None:
                self._signal_handlers.close()

    def __del__(self) -> None:
        if self._opened and not self._over:
            warnings.warn("a Run was opened and never closed; use it in a with statement", ResourceWarning, 2)
