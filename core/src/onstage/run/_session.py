"""Run: one training and its callbacks; the only class that fires stages.

`onstage.Trainer` is written on its public methods, which custom loops use too.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from onstage.bus._manager import Bus
from onstage.logs import Logs
from onstage.registry._config import settings as read_settings
from onstage.run import _requirements, _setup
from onstage.run._controls import stop_flags
from onstage.run._driving import DrivenRun
from onstage.run._lifecycle import RunLifecycle
from onstage.run._pushed import PushedStages


class Run(DrivenRun):
    """One training, evaluation or prediction, with its callbacks.

    Parameters
    ----------
    model
        ``self.model`` of the callbacks; may be None in a custom loop.
    callbacks
        Instances, names of installed callbacks, ``{"name": {option: value}}``,
        or nested lists of these.
    epochs
        Index after the last epoch, as in Keras; None: until a callback stops it.
    initial_epoch
        Number of the first epoch.
    steps, batch_size, samples
        Size of an epoch, for `params`; None if unknown.
    verbose
        0: silent; 1: a progress bar; 2: a line per epoch; "auto": depends on
        the terminal.
    metric_names
        All names that the model adds to the logs of on_epoch_end, None if
        unknown. With them, a misspelt ``monitor`` is refused before training.
    profile
        Whether to print at the end the time that each callback took in each
        stage; None: by the environment or the project's settings.

    Attributes
    ----------
    bus
        The `Bus`; ``run.bus.register(plugin)`` works at any time.
    history
        The `History` of this run.
    params
        ``self.params`` of the callbacks.
    epoch, batch
        Numbers of the current epoch and batch, from 0; None outside.
    batch_data
        Data of the current batch. Its arrays may be reused for the next batch:
        copy those that you keep.
    stop_reason, stopped_by
        Reason given to the first `stop`, and name of the callback; None without.
    test_logs
        Metrics of the last evaluation or validation, without ``val_``.
    resumed
        Whether `load_state_dict` was called: append to files, don't truncate them.
    seed
        Seed of ``fit``; a resumed run warns if it differs. None if unknown.
    rank
        Rank of this process; 0 if there is only one.
    interruption
        The `Interrupted` that will be raised after the current batch, because
        a signal of `stop_on_signal` was received; else None.

    Examples
    --------
    A custom training loop, here on numbers in place of batches:

    >>> from onstage.callbacks import EarlyStopping
    >>> with Run(callbacks=[EarlyStopping("val_loss")], epochs=10) as run:
    ...     for epoch in run.epochs():
    ...         for batch in run.batches([1.0, 2.0]):
    ...             run.log(loss=batch)
    ...         for batch in run.test_batches([3.0]):
    ...             run.log(loss=batch)
    >>> run.history.history
    {'loss': [1.5, 1.5], 'val_loss': [3.0, 3.0]}
    >>> run.history.stopped_by
    'EarlyStopping'
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
        _setup.check_arguments(model, epochs, initial_epoch)
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
        settings = read_settings()
        plugins, self.history = _setup.resolve_callbacks(callbacks, verbose, self.rank, settings)
        self._report = _setup.report(profile, settings)
        self.bus = Bus(plugins, instrument=self._report.instrument if self._report else None)
        self.bus.run = self
        self._lifecycle = RunLifecycle(self, self._refuse_second_training)
        self._pushed = PushedStages(self, self._lifecycle)
        self._signal_handlers = None
        self._around: Run | None = None
        self._stops_around = False
        self._earlier_runs: list[tuple[Any, Any]] = []

    # -- open and close

    def open(self) -> Self:
        """Open the run: set model, params and run of the callbacks.

        ``with Run(…) as run:`` opens the run, and closes it after the block.

        Raises
        ------
        RuntimeError
            If the run was opened before.
        TypeError
            If the model lacks an attribute that a callback needs.
        """
        if self._opened:
            raise RuntimeError("a Run must be opened once; make a new one for another training")
        self._opened = True
        try:
            self._enter_flags()
            _requirements.check(self.bus, self.model)
            for _, plugin in self.bus.plugins():
                self._earlier_runs.append((plugin, getattr(plugin, "run", None)))
                self._join(plugin)
        except BaseException as error:
            self._end(error)
            raise
        return self

    def close(self, error: BaseException | None = None) -> None:
        """Close the run; do nothing if it is closed.

        Parameters
        ----------
        error
            The exception that ended the loop: on_exception fires. None: all
            open stages end. on_teardown fires in both cases.
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
            self._leave_flags()
            self._return_plugins()
            if self._signal_handlers is not None:
                self._signal_handlers.close()

    def _join(self, plugin: object) -> None:
        for setter, value in (("set_model", self.model), ("set_params", self.params), ("set_run", self)):
            if hasattr(plugin, setter):
                getattr(plugin, setter)(value)

    def _refuse_second_training(self) -> None:
        """Raise RuntimeError if a callback takes part in another training, which keeps it."""
        for entry in self._earlier_runs:
            plugin, earlier = entry
            for other in (earlier, getattr(plugin, "run", None)):
                if not isinstance(other, Run) or other is self or other._over:
                    continue
                if other.is_training:
                    self._earlier_runs.remove(entry)
                    self.bus.unregister(plugin)  # without its on_teardown
                    other._join(plugin)
                    raise RuntimeError(
                        f"{type(plugin).__name__} already takes part in a run; make one object for each "
                        "training, or close the other run first: callback.run.close()"
                    )

    def _return_plugins(self) -> None:
        """Return the callbacks to the run around this one, or to none."""
        for plugin, earlier in self._earlier_runs:
            if isinstance(earlier, Run) and not earlier._over:
                earlier._join(plugin)
            elif hasattr(plugin, "set_run"):
                plugin.set_run(None)
        self._earlier_runs.clear()

    def _enter_flags(self) -> None:
        """Withdraw a stop of an earlier run, and keep that of a run around this one."""
        around = _innermost.get(id(self.flags))
        if around is not None and around.flags is self.flags and not around._over:
            self._around, self._stops_around = around, bool(self.flags.stop_training)
        _innermost[id(self.flags)] = self
        self.flags.stop_training = False

    def _leave_flags(self) -> None:
        if self._around is not None:
            _innermost[id(self.flags)] = self._around
            self.flags.stop_training = self._stops_around

    def __del__(self) -> None:
        if self._opened and not self._over:
            warnings.warn("a Run was opened and never closed; use it in a with statement", ResourceWarning, 2)


_innermost: weakref.WeakValueDictionary[int, Run] = weakref.WeakValueDictionary()
"""The run that was opened last, by the id of its flags."""
