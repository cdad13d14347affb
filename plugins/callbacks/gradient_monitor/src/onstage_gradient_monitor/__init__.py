"""GradientMonitor: log the norms of gradients, and clip them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from onstage import Callback, Logs
from onstage.validation import validate_bool, validate_int, validate_optional_float

__all__ = ["GradientMonitor"]


class GradientMonitor(Callback):
    """Log the norms of gradients, and clip them.

    Add ``gradient_norm`` to the logs: of all gradients together, before
    clipping; of each batch, and as the mean over the batches of the epoch.

    Parameters
    ----------
    clip_norm
        Maximum norm of all gradients together, > 0: those above it are scaled
        down to it, all by the same factor. None to change nothing.
    per_layer
        Whether to add ``gradient_norm/<layer>`` too.
    histogram_freq
        Epochs between histograms of the gradients, of the epoch's last batch;
        0 for none.
    writer
        Where histograms go: an object with tensorboardX's or torch's
        ``add_histogram(tag, values, step)``, or a function that returns one,
        such as ``lambda: tensorboard.writer``.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; when training begins, if the model offers no
        gradients.

    Notes
    -----
    A norm is a read of the device: on a GPU, each batch waits for it.

    References
    ----------
    Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural
    networks (2013), section 3.2, for clipping by norm.
    """

    adds_logs: ClassVar[tuple[str, ...] | None] = None

    def __init__(
        self,
        clip_norm: float | None = None,
        per_layer: bool = False,
        *,
        histogram_freq: int = 0,
        writer: Any = None,
    ) -> None:
        self.clip_norm = validate_optional_float("clip_norm", clip_norm, 0.0, exclude=(0.0,))
        self.per_layer = validate_bool("per_layer", per_layer)
        self.histogram_freq = validate_int("histogram_freq", histogram_freq, 0)
        if bool(self.histogram_freq) != (writer is not None):
            raise ValueError("histogram_freq and writer must be given together, got one of them")
        self.writer = writer
        self._sums: dict[str, float] = {}
        self._norms: dict[str, float] = {}
        self._steps = 0
        self._last: list[Any] = []

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begin the means of the epoch."""
        self._sums, self._norms, self._steps = {}, {}, 0

    def on_optimizer_step_begin(self, batch: int, gradients: Sequence[Any]) -> None:
        """Measure the gradients, and clip them in place."""
        norms = [_norm(each) for each in gradients]
        total = float(np.linalg.norm(norms))
        self._norms = {"gradient_norm": total}
        if self.per_layer:
            for name, part in _by_layer(self.model, norms).items():
                self._norms[f"gradient_norm/{name}"] = float(np.linalg.norm(part))
        for name, norm in self._norms.items():
            self._sums[name] = self._sums.get(name, 0.0) + norm
        self._steps += 1
        if self.histogram_freq:
            self._last = [_array(each) for each in gradients]
        if self.clip_norm is not None and total > self.clip_norm:
            for each in gradients:
                if each is not None:
                    each *= self.clip_norm / total

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Add the norms of the batch to the logs."""
        if logs is not None:
            logs.update(self._norms)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add the means of the epoch, and write histograms."""
        if logs is not None and self._steps:
            logs.update({name: total / self._steps for name, total in self._sums.items()})
        if self.histogram_freq and self._last and epoch % self.histogram_freq == 0:
            writer = self.writer() if callable(self.writer) else self.writer
            for name, arrays in _by_layer(self.model, self._last).items():
                values = [each.ravel() for each in arrays if each is not None]
                if values:
                    writer.add_histogram(f"gradients/{name}", np.concatenate(values), epoch)
        self._last = []


def _array(gradient: Any) -> Any:
    """Return a copy as an array, of a tensor on a device too; None for None."""
    if gradient is None:
        return None
    detached: Callable[[], Any] | None = getattr(gradient, "detach", None)
    return np.array(gradient if detached is None else detached().float().cpu())


def _norm(gradient: Any) -> float:
    """Return the Euclidean norm; in float64 for arrays, whose squares may overflow."""
    if gradient is None:
        return 0.0
    if isinstance(gradient, np.ndarray):
        return float(np.linalg.norm(gradient.astype(np.float64).ravel()))
    return float(gradient.norm())


def _by_layer(model: Any, values: list[Any]) -> dict[str, list[Any]]:
    """Group one value for each trainable weight by the layers of the model, if it tells them."""
    layers = [
        (layer.name, len(layer.trainable_weights))
        for layer in getattr(model, "layers", None) or ()
        if hasattr(layer, "trainable_weights")
    ]
    if sum(count for _, count in layers) != len(values):
        return {f"weight_{n}": [value] for n, value in enumerate(values)}
    remaining = iter(values)
    return {name: [next(remaining) for _ in range(count)] for name, count in layers if count}
