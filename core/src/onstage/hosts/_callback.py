"""HostCallback: the base of adapters that run callbacks inside another trainer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, ClassVar, Self

from onstage.bus._manager import Bus
from onstage.callbacks._history import History
from onstage.hosts._view import HostView
from onstage.model import State
from onstage.registry import _config, _selection
from onstage.run import Run, _setup
from onstage.run._pushed import PushedStage


class HostCallback:
    """Runs callbacks at the stages of a training that another trainer has.

    An adapter derives from it and from the trainer's own class of callbacks,
    and calls `start`, `begin`, `end` and `finish` from the trainer's events.
    Outside a training, `begin`, `end` and `finish` do nothing, so that events of
    an evaluation or a warm-up do not reach the callbacks.

    A trainer that reports no errors is used in a with statement:
    ``with OnstageCallback(…) as callback: trainer.fit(callbacks=[callback])``.

    Parameters
    ----------
    callbacks
        As in `onstage.Run`. Names are resolved here: a misspelt one raises at once.
    verbose
        As in `onstage.Run`.

    Attributes
    ----------
    host
        Name of the trainer, for messages.
    lacks
        What the trainer cannot offer; see `HostView`. ``"batches"`` is a need too.
    active_run
        The run of the training in progress, or None.
    history
        The `onstage.History` of the last training, None before the first.
    """

    host: ClassVar[str]
    lacks: ClassVar[Mapping[str, str]] = {}

    def __init__(self, callbacks: Any = None, *, verbose: int | str = 0) -> None:
        super().__init__()
        self.callbacks = callbacks
        self.verbose = verbose
        self.active_run: Run | None = None
        self.history: History | None = None
        # Those of the settings are added by each run.
        self._chosen = _selection.resolve(callbacks, replace(_config.settings(), callbacks=()))

    def start(
        self,
        view: HostView,
        *,
        epochs: int | None,
        initial_epoch: int = 0,
        steps: int | None = None,
        batch_size: int | None = None,
        samples: int | None = None,
        state: State | None = None,
    ) -> None:
        """Begin a training: fire on_train_begin.

        Parameters
        ----------
        view
            The model.
        epochs, initial_epoch, steps, batch_size, samples
            As in `onstage.Run`.
        state
            A result of `save_state`, to resume from.

        Raises
        ------
        TypeError
            If a callback needs what the trainer lacks.
        """
        self.finish(RuntimeError(f"{self.host} began another training before this one ended"))
        run = Run(
            view,
            self._chosen,
            epochs=epochs,
            initial_epoch=initial_epoch,
            steps=steps,
            batch_size=batch_size,
            samples=samples,
            verbose=self.verbose,
        )
        self.history = run.history
        run.open()
        self.active_run = run
        try:
            if state is not None:
                run.load_state_dict(state)
            run.begin("train")
        except BaseException as error:
            self.finish(error)
            raise

    def begin(self, stage: PushedStage, number: int | None = None, *, data: Any = None) -> None:
        """Begin a stage of the training; see `onstage.Run.begin`."""
        if self.active_run is None:
            return
        try:
            self.active_run.begin(stage, number, data=data)
        except BaseException as error:
            self.finish(error)
            raise

    def end(
        self,
        stage: PushedStage,
        logs: Mapping[str, Any] | None = None,
        *,
        samples: float | None = None,
        running: bool = False,
    ) -> bool:
        """End a stage of the training; see `onstage.Run.end`.

        An epoch that was not begun is begun first.

        Returns
        -------
        bool
            Whether to continue; False if a callback asked to stop, on any process.
        """
        run = self.active_run
        if run is None:
            return True
        try:
            if stage == "epoch" and not run.epoch_open:  # resumed where only the end was left
                run.begin("epoch")
            run.end(stage, logs, samples=samples, running=running)
            if stage == "train_batch":
                run.stop_reason = run.model.agree_on_stop() or run.stop_reason
        except BaseException as error:
            self.finish(error)
            raise
        return not run.stopping

    def finish(self, error: BaseException | None = None) -> None:
        """End the training, if there is one in progress; see `onstage.Run.close`."""
        run, self.active_run = self.active_run, None
        if run is not None:
            run.close(error)

    def acting_stages(self) -> set[str]:
        """Return the stages in which a callback acts, those of the settings included.

        For a trainer in which listening to a batch costs time.
        """
        plugins, _ = _setup.resolve_callbacks(self._chosen, self.verbose, 0)
        bus = Bus(plugins)
        return {stage for stage in bus.stage_names() if bus.implementations(stage)}

    def save_state(self) -> State | None:
        """Return the state of the callbacks, for the trainer's checkpoint.

        Returns
        -------
        State or None
            None outside a training or inside a batch.
        """
        run = self.active_run
        if run is None or run.batch_open:
            return None
        state = run.state_dict(model=False)
        # The trainer restores model and optimizer before the run begins: a rate that a callback has
        # reduced is then no setting of the program.
        described = {name: value for name, value in state["fingerprint"].items() if name != "model"}
        return {**state, "fingerprint": described}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish(error)


def settings_name_callbacks() -> bool:
    """Return whether the user's settings name callbacks for every training.

    For a trainer that loads adapters by itself: without names, or with
    ``autouse = false``, a program that was not written for onstage stays as it is.
    """
    settings = _config.settings()
    return settings.autouse and bool(settings.callbacks)
