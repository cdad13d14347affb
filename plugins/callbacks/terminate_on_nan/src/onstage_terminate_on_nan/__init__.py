"""TerminateOnNaN: end training when the loss is not finite."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from onstage import Callback, Logs
from onstage.reporting import print_line
from onstage.validation import validate_bool

__all__ = ["TerminateOnNaN"]


class TerminateOnNaN(Callback):
    """Stop when the loss of a batch is NaN or infinite, and tell where it began.

    The reason in the History has the epoch, from 1, and the batch, from 0, and, for a
    model with ``layers``, the layer whose weights or gradients were the first
    that were not finite: of several in one batch the nearest to the output, where
    the backward pass begins. All weights are checked after each batch.

    Parameters
    ----------
    raise_error
        Whether to raise RuntimeError instead of stopping the training regularly.

    Raises
    ------
    RuntimeError
        During training, with raise_error.
    """

    adds_logs: ClassVar[tuple[str, ...]] = ()
    keeps_backup: ClassVar[bool] = True
    """Tell BackupAndRestore to keep its backup: the training has not succeeded."""

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = validate_bool("raise_error", raise_error)
        self._origin = ""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Reset the state of an earlier training."""
        self._origin = ""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Check the loss of the batch, and the weights."""
        loss = self._loss(logs)
        is_fine = loss is None or math.isfinite(loss)
        found = _non_finite(self.model, "weights") or (
            "" if is_fine else _non_finite(self.model, "gradients")
        )
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
        print_line(f"\nBatch {batch}: Invalid loss, terminating training")
        at = None if self.run is None else self.run.epoch
        epoch = "" if at is None else f"epoch {at + 1}, "
        self.stop(f"loss was {loss} in {epoch}batch {batch}{self._origin}")

    def _loss(self, logs: Logs | None) -> float | None:
        own = None if self.run is None else self.run.batch_logs.get("loss")
        # Without a run only the running mean is known.
        loss = (logs or {}).get("loss") if own is None else own
        return None if loss is None else float(loss)


def _non_finite(model: Any, kind: str) -> str:
    """Return the layer nearest to the output with a NaN or infinite value, or ''."""
    attribute = {"weights": "value", "gradients": "gradient"}[kind]
    layers = getattr(model, "layers", ())
    if not isinstance(layers, (list, tuple)):
        return ""
    for layer in reversed(layers):
        for variable in getattr(layer, "weights", ()):
            values = getattr(variable, attribute, None)
            if isinstance(values, np.ndarray) and not _is_finite(values):
                return f"{kind} of layer {layer.name!r}"
    return ""


def _is_finite(values: Any) -> bool:
    # One pass without a temporary; if the sum overflows, every value is checked.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.sum(values)) or np.isfinite(values).all())
