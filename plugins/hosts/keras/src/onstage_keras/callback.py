"""OnstageCallback: a callback of Keras that runs those of onstage."""

from __future__ import annotations

from typing import Any, ClassVar

import keras

from onstage.hosts import HostCallback, HostView, file_writer
from onstage.logs import Logs
from onstage_keras.model import LiveModel


class OnstageCallback(HostCallback, keras.callbacks.Callback):
    """Runs callbacks of onstage in ``fit``, on torch and on JAX.

    Keras reports no errors to callbacks. To fire on_exception and on_teardown
    after one, write ``with callback: model.fit(…, callbacks=[callback])``.

    Parameters
    ----------
    callbacks
        Instances, names of installed callbacks, ``{"name": {option: value}}``,
        or nested lists of these.
    verbose
        1 adds onstage's progress bar, 2 a line per epoch.

    Examples
    --------
    >>> from onstage_keras import OnstageCallback
    >>> callback = OnstageCallback(["csv_logger", {"early_stopping": {"patience": 3}}])
    >>> model.fit(x, y, callbacks=[callback])  # doctest: +SKIP
    """

    host = "Keras"
    lacks: ClassVar[dict[str, str]] = {
        "snapshot": "save without save_in_background",
        "set_gradient_callback": "override train_step of the model",
    }

    def __init__(self, callbacks: Any = None, *, verbose: int | str = 0) -> None:
        super().__init__(callbacks, verbose=verbose)
        # Keras dispatches batches in the background if no callback has these methods.
        acting = self.acting_stages()
        for kind in ("train", "test"):
            if acting & {f"on_{kind}_batch_begin", f"on_{kind}_batch_end"}:
                setattr(self, f"on_{kind}_batch_begin", getattr(self, f"_begin_{kind}_batch"))
                setattr(self, f"on_{kind}_batch_end", getattr(self, f"_end_{kind}_batch"))

    # -- the training

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin the run."""
        params = self.params or {}
        self.start(self._view(), epochs=params.get("epochs"), steps=params.get("steps"))
        run = self.active_run
        if run is not None and run.resumed:
            self._model._initial_epoch = run.initial_epoch  # read by fit after on_train_begin

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begin the epoch."""
        self.begin("epoch", epoch)

    def _begin_train_batch(self, batch: int, logs: Logs | None = None) -> None:
        self.begin("train_batch", batch)

    def _end_train_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._stop_unless(self.end("train_batch", logs, running=True))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """End the epoch with Keras's logs."""
        self._stop_unless(self.end("epoch", logs))

    def on_train_end(self, logs: Logs | None = None) -> None:
        """End the run."""
        self.finish()

    def _stop_unless(self, go_on: bool) -> None:
        if not go_on:
            self._model.stop_training = True

    # -- the validation

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Begin the validation of an epoch."""
        self.begin("test")

    def _begin_test_batch(self, batch: int, logs: Logs | None = None) -> None:
        self.begin("test_batch", batch)

    def _end_test_batch(self, batch: int, logs: Logs | None = None) -> None:
        self.end("test_batch", logs, running=True)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """End the validation with Keras's logs."""
        self.end("test", logs)

    # -- the model

    def _view(self) -> HostView:
        model = LiveModel(self)
        lacks = dict(self.lacks)
        try:
            model.learning_rate = model.learning_rate
        except TypeError:
            lacks["learning_rate"] = "the optimizer follows a schedule: give it a number"
        return HostView(
            model,
            self.host,
            lacks,
            save=file_writer(lambda path: self.model.save(path)),
            save_weights=file_writer(lambda path: self.model.save_weights(path)),
        )
