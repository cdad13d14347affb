"""OnstageCallback: a callback of skorch that runs those of onstage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import skorch
import torch
from onstage_torch import TorchView
from skorch.callbacks import LRScheduler

from onstage.hosts import HostCallback, HostView, file_writer, map_arrays, split_metrics
from onstage.logs import Logs
from onstage.model import State


class OnstageCallback(HostCallback, skorch.callbacks.Callback):
    """Runs callbacks of onstage in the ``fit`` and ``partial_fit`` of a net.

    Place it after the callbacks that compute scores, and before those that
    save. skorch reports no errors to callbacks. To fire on_exception and
    on_teardown after one, write ``with callback: net.fit(x, y)``.

    Parameters
    ----------
    callbacks
        Instances, names of installed callbacks, ``{"name": {option: value}}``,
        or nested lists of these.
    verbose
        1 adds onstage's progress bar, 2 a line per epoch.

    Examples
    --------
    >>> from onstage_skorch import OnstageCallback
    >>> callback = OnstageCallback(["csv_logger", {"early_stopping": {"patience": 3}}])
    >>> net = NeuralNetClassifier(Module, callbacks=[callback])  # doctest: +SKIP
    """

    host = "skorch"
    lacks: ClassVar[dict[str, str]] = {
        "state_dict": "use skorch.callbacks.Checkpoint with f_onstage='onstage.pt'",
        "load_state_dict": "use skorch.callbacks.LoadInitState",
        "snapshot": "save without save_in_background",
        "finalize_weights": "average the weights with torch.optim.swa_utils.AveragedModel",
    }

    def __init__(self, callbacks: Any = None, *, verbose: int | str = 0) -> None:
        super().__init__(callbacks, verbose=verbose)
        self._began = False
        self._saved: State | None = None
        self._datasets: tuple[Any, Any] = (None, None)
        self._emit_gradients: Callable[[list[Any]], None] | None = None

    # -- the training

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Wait for the first epoch: LoadInitState of skorch may follow."""
        net.onstage_ = self  # Checkpoint(f_onstage=…) looks for it
        self._began = False

    def on_epoch_begin(
        self, net: Any, dataset_train: Any = None, dataset_valid: Any = None, **kwargs: Any
    ) -> None:
        """Begin the epoch, and before the first the run."""
        self._datasets = (dataset_train, dataset_valid)
        epoch = len(net.history) - 1
        if not self._began:
            self._began = True
            self._begin_run(net, epoch)
        self.begin("epoch", epoch)

    def _begin_run(self, net: Any, epoch: int) -> None:
        saved, self._saved = self._saved, None
        self.start(
            self._view(net),
            epochs=epoch + net.max_epochs,
            initial_epoch=epoch,
            batch_size=net.batch_size if net.batch_size > 0 else None,
            state=saved,
        )
        # Saved before the callbacks' epoch ended: skorch takes it to be complete.
        if saved is not None and saved["batch"] and saved["epoch"] < epoch:
            train, test = _epoch_scores(net, net.history[-2])
            if not self.end("epoch", train | {f"val_{name}": value for name, value in test.items()}):
                raise KeyboardInterrupt

    def on_batch_begin(self, net: Any, batch: Any = None, training: Any = None, **kwargs: Any) -> None:
        """Begin a batch of the training or of the validation."""
        self.begin("train_batch" if training else "test_batch", data=batch)

    def on_batch_end(self, net: Any, batch: Any = None, training: Any = None, **kwargs: Any) -> None:
        """End the batch with the scores that skorch recorded; end the epoch if a callback stops."""
        row = net.history[-1, "batches", -1]
        if not training:
            _, test = split_metrics(_scores(row), validation=row)
            self.end("test_batch", test, samples=row["valid_batch_size"])
            return
        train, _ = split_metrics(_scores(row))
        if not self.end("train_batch", train, samples=row["train_batch_size"]):
            self._end_epoch_early(net)

    def on_epoch_end(
        self, net: Any, dataset_train: Any = None, dataset_valid: Any = None, **kwargs: Any
    ) -> None:
        """End validation and epoch with skorch's scores, and stop if a callback asks to."""
        train, test = _epoch_scores(net, net.history[-1])
        if dataset_valid is not None:
            self.end("test", test)
        if not self.end("epoch", train):
            raise KeyboardInterrupt  # skorch ends the training, without an error

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """End the run."""
        self.finish()

    def on_grad_computed(self, net: Any, named_parameters: Any, **kwargs: Any) -> None:
        """Pass the gradients on, if a callback acts in on_optimizer_step_begin."""
        if self._emit_gradients is not None:
            self._emit_gradients([each.grad for each in net.module_.parameters() if each.requires_grad])

    def _end_epoch_early(self, net: Any) -> None:
        """Validate and end the epoch within its batches: KeyboardInterrupt alone leaves both out."""
        train, valid = self._datasets
        net.history.record("train_batch_count", len(net.history[-1, "batches"]))
        if valid is not None:
            batches = net.get_iterator(valid, training=False)
            net.run_single_epoch(batches, training=False, prefix="valid", step_fn=net.validation_step)
        net.notify("on_epoch_end", dataset_train=train, dataset_valid=valid)

    # -- the state, in checkpoints and copies of skorch

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the callbacks, with tensors in place of arrays; empty outside a training."""
        # skorch reads tensors from a file that is not trusted, but no arrays.
        state: dict[str, Any] = map_arrays(self.save_state() or {}, np.ndarray, torch.from_numpy)
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Keep the state until the training begins."""
        self._saved = map_arrays(dict(state_dict), torch.Tensor, lambda each: each.cpu().numpy()) or None

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle without the training in progress."""
        return {**vars(self), "active_run": None, "_emit_gradients": None, "_datasets": (None, None)}

    def _get_param_names(self) -> list[str]:
        return ["callbacks", "verbose"]

    def set_params(self, **params: Any) -> Self:
        """Set ``callbacks`` or ``verbose``, as a search over parameters does."""
        super().set_params(**params)
        if params:
            HostCallback.__init__(self, self.callbacks, verbose=self.verbose)
        return self

    # -- the model

    def _view(self, net: Any) -> HostView:
        lacks = dict(self.lacks)
        if any(isinstance(each, LRScheduler) for _, each in net.callbacks_):
            lacks["learning_rate"] = "LRScheduler sets it: leave LRScheduler out of the net's callbacks"

        def set_gradient_callback(function: Callable[[list[Any]], None] | None) -> None:
            self._emit_gradients = function

        return HostView(
            TorchView(net.module_, net.optimizer_),
            self.host,
            lacks,
            save=file_writer(lambda path: net.save_params(f_params=path)),
            set_gradient_callback=set_gradient_callback,
        )


def _epoch_scores(net: Any, row: Mapping[str, Any]) -> tuple[Logs, Logs]:
    """Return the scores of an epoch: of the training, and of the validation without ``val_``."""
    scorings = [each for _, each in net.callbacks_ if getattr(each, "on_train", None) is False]
    of_validation = [getattr(each, "name_", each.name) for each in scorings]
    return split_metrics(_scores(row), validation=of_validation)


def _scores(row: Mapping[str, Any]) -> Logs:
    """Return the losses and scores of a row of the history."""
    return {
        name: value
        for name, value in row.items()
        if isinstance(value, int | float | np.number)
        and not isinstance(value, bool)  # valid_loss_best
        and not name.startswith("event_")
        and not name.endswith(("_batch_size", "_batch_count"))
        and name not in ("epoch", "dur")
    }
