"""CallbackList: Keras's container of callbacks, for a loop of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from onstage.callbacks._history import History
from onstage.hookspecs import ALIASES, hookimpl
from onstage.keras._stage_calls import StageCalls
from onstage.logs import Logs, read_scalars
from onstage.registry import _selection
from onstage.run._pushed import PushedStage
from onstage.run._session import Run
from onstage.run._setup import progress_bar

_OUTER = {"epoch": "train", "train_batch": "train", "test_batch": "test", "predict_batch": "predict"}


class CallbackList(list[Any], StageCalls):
    """Callbacks that a loop of one's own calls by the names of the stages.

    A training, or a test or prediction outside of one, is an `onstage.Run`: it
    has its order, names, error policy and teardown. The run opens at the first
    stage and closes after ``on_train_end`` (``on_test_end``, ``on_predict_end``).
    An error in a callback closes it with on_exception and on_teardown. In a
    ``with`` block, an error in the loop does so too.

    The callbacks get the logs that the loop passes: nothing is averaged.

    Parameters
    ----------
    callbacks
        As for ``fit``: instances, names, nested lists.
    add_history
        Whether to add a `History`, and set ``model.history``.
    add_progbar
        Whether to add the progress bar; ``verbose`` in `params` sets its mode.
    model
        ``self.model`` of the callbacks; they set ``model.stop_training``.
    **params
        ``self.params`` of the callbacks, such as ``epochs`` and ``steps``.

    Examples
    --------
    >>> from onstage.keras.callbacks import CallbackList, EarlyStopping
    >>> callbacks = CallbackList([EarlyStopping("loss")], add_history=True, epochs=5)
    >>> callbacks.on_train_begin()
    >>> for epoch in range(5):
    ...     callbacks.on_epoch_begin(epoch)
    ...     callbacks.on_epoch_end(epoch, {"loss": max(1.0, 3.0 - epoch)})
    ...     if callbacks.stop_training:
    ...         break
    >>> callbacks.on_train_end()
    >>> callbacks.history.history
    {'loss': [3.0, 2.0, 1.0, 1.0]}
    """

    def __init__(
        self,
        callbacks: object = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__(_selection.resolve(callbacks))
        if add_history and self.history is None:
            self.append(History())
        if add_progbar and params.get("verbose", 1):
            self.extend(progress_bar(params.get("verbose", 1)))
        self.model: Any = None
        self.params: dict[str, Any] = {}
        self._run: Run | None = None
        self._outermost = ""
        self._given = _GivenLogs()
        self.set_model(model)
        self.set_params(params)

    @property
    def callbacks(self) -> list[Any]:
        """The callbacks: this list itself."""
        return self

    @property
    def history(self) -> History | None:
        """The `History` in the list; None without."""
        return next((each for each in self if isinstance(each, History)), None)

    @property
    def stop_training(self) -> bool:
        """Whether a callback asked to stop the training."""
        return bool(getattr(self._run.flags if self._run else self.model, "stop_training", False))

    def set_model(self, model: Any) -> None:
        """Set the model of all callbacks; before the first stage."""
        if model is None:
            return
        self.model = model
        if self.history is not None:
            model.history = self.history
        self._set("set_model", model)

    def set_params(self, params: dict[str, Any]) -> None:
        """Set the parameters of all callbacks; before the first stage."""
        if params:
            self.params = params
            self._set("set_params", params)

    def _set(self, setter: str, value: Any) -> None:
        if self._run is not None:
            raise RuntimeError(f"{setter} must be called before the training begins")
        for each in self:
            if hasattr(each, setter):
                getattr(each, setter)(value)

    # -- the run

    def _begin(self, stage: PushedStage, number: int | None, logs: Logs | None) -> None:
        if self._run is None:
            self._outermost = _OUTER.get(stage, stage)
            self._run = self._open()
        with self._closing_on_error(self._run) as run:
            self._given.set(stage, "begin", logs)
            run.begin(stage, number)

    def _end(self, stage: PushedStage, logs: Logs | None) -> None:
        if self._run is None:
            raise RuntimeError(f"on_{stage}_end must come after on_{stage}_begin; no stage is open")
        with self._closing_on_error(self._run) as run:
            self._given.set(stage, "end", logs)
            run.end(stage, logs, running=True)
            if stage == self._outermost:
                self.close()

    def _open(self) -> Run:
        epochs, steps = (self.params.get(name) for name in ("epochs", "steps"))
        run = Run(self.model, list(self), epochs=epochs, steps=steps)
        run.params.update(self.params)
        run.bus.register(self._given)
        return run.open()

    @contextmanager
    def _closing_on_error(self, run: Run) -> Iterator[Run]:
        try:
            yield run
        except BaseException as error:
            self.close(error)
            raise

    def close(self, error: BaseException | None = None) -> None:
        """End what is open; with an error, by on_exception and on_teardown only."""
        run, self._run = self._run, None
        if run is not None:
            run.close(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(error)


class _GivenLogs:
    """Replaces the logs of a stage by those that the loop passed to it."""

    def __init__(self) -> None:
        self._stage = ""
        self._logs: Logs = {}

    def set(self, stage: str, end: str, logs: Logs | None) -> None:
        self._stage = f"on_{stage}_{end}"
        self._logs = read_scalars(dict(logs or {}))

    def replace(self, stage: str, logs: Logs) -> None:
        if stage == self._stage:
            logs.clear()
            logs.update(self._logs)


def _replacing(stage: str) -> Any:
    @hookimpl(tryfirst=True)
    def on_stage(self: _GivenLogs, logs: Logs) -> None:
        self.replace(stage, logs)

    return on_stage


for _stage in (name for name in vars(StageCalls) if name.startswith("on_") and name not in ALIASES):
    setattr(_GivenLogs, _stage, _replacing(_stage))
