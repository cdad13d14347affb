"""TerminateOnNaN: ends a training whose loss is no number any more."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from onstage import Callback, Logs
from onstage.validation import validate_bool

__all__ = ["TerminateOnNaN"]


class TerminateOnNaN(Callback):
    """Stop when the loss of a batch is NaN or infinite, and say where it began.

    The reason in the History names the epoch and batch, counted from 0, and,
    for a model that offers its ``layers``, the layer whose weights or gradients
    turned non-finite first: of several in one batch the nearest to the output,
    where the backward pass begins. That takes a look at all weights after each
    batch.

    Parameters
    ----------
    raise_error
        Raise RuntimeError at once, instead of ending the training in order.

    Raises
    ------
    RuntimeError
        From the stage, with raise_error.
    """

    adds_logs: ClassVar[tuple[str, ...]] = ()
    keeps_backup: ClassVar[bool] = True
    """A training that ends this way has not reached its goal: BackupAndRestore deletes nothing."""

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = validate_bool("raise_error", raise_error)
        self._origin = ""

    def on_train_begin(self) -> None:
        """Forget an earlier training."""
        self._origin = ""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the batch's own loss, and at the weights."""
        loss = self._loss(logs)
        is_fine = loss is None or math.isfinite(loss)
        found = _unsound(self.model, "weights") or ("" if is_fine else _unsound(self.model, "gradients"))
        if not found:
            self._origin = ""
        elif not self._origin:
            self._origin = f"; {found} turned non-finite first, in batch {batch}"
        if is_fine:
            return
        if self.raise_error:
            raise RuntimeError(
                f"NaN or Inf loss encountered at batch {batch}. Loss value: {loss}{self._origin}. "
                "Terminating training immediately."
            )
        print(f"Batch {batch}: Invalid loss, terminating training")
        epoch = "" if self.run is None else f"epoch {self.run.epoch}, "
        self.stop(f"loss was {loss} in {epoch}batch {batch}{self._origin}")

    def _loss(self, logs: Logs | None) -> float | None:
        own = None if self.run is None else self.run.batch_logs.get("loss")
        # Driven by hand there is the running mean alone.
        loss = (logs or {}).get("loss") if own is None else own
        return None if loss is None else float(loss)


def _unsound(model: Any, what: str) -> str:
    """Name the layer nearest to the output that has a NaN or an infinite value."""
    attribute = {"weights": "value", "gradients": "gradient"}[what]
    layers = getattr(model, "layers", ())
    if not isinstance(layers, (list, tuple)):
        return ""
    for layer in reversed(layers):
        for variable in getattr(layer, "weights", ()):
            values = getattr(variable, attribute, None)
            if isinstance(values, np.ndarray) and not _is_finite(values):
                return f"{what} of layer {layer.name!r}"
    return ""


def _is_finite(values: Any) -> bool:
    # One pass without a temporary; a sum of finite values that overflows is looked at closer.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.sum(values)) or np.isfinite(values).all())
