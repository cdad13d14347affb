"""LRFinder: find a learning rate by a range test."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from onstage import Callback, Logs
from onstage.callbacks.learning_rate import check_settable
from onstage.model import Array, State
from onstage.validation import validate_float, validate_int

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LRFinder"]


class LRFinder(Callback):
    """Raise the learning rate with each batch, and record the loss.

    The training is stopped after `steps` batches, or when the loss diverges;
    then the model has its weights and rate back. The optimizer's moments are
    restored too if the model offers a state. `onstage.lr_find` does all of it
    in one call.

    Parameters
    ----------
    min_lr, max_lr
        First and last rate, 0 < min_lr < max_lr. The rates between them are
        equally spaced on a log scale.
    steps
        Batches, >= 5. Pass enough epochs to ``fit``.
    smoothing
        Weight of the past in the exponential mean of the losses, in [0, 1);
        its bias is corrected.
    diverged
        The test ends when the smoothed loss exceeds this multiple of its
        lowest value, > 1.

    Attributes
    ----------
    rates, losses
        Of each batch, shape ``(n,)``; the losses are smoothed.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; when training begins, if the rate can't be set.

    References
    ----------
    Smith: Cyclical learning rates for training neural networks (2017), section
    3.3. The suggestions are fastai's rules ``valley``, ``steep``, ``minimum``.
    """

    adds_logs: ClassVar[tuple[str, ...] | None] = ()
    needs = ("learning_rate", "get_weights", "set_weights", "batches")

    def __init__(
        self,
        min_lr: float = 1e-7,
        max_lr: float = 10.0,
        steps: int = 100,
        *,
        smoothing: float = 0.98,
        diverged: float = 4.0,
    ) -> None:
        self.min_lr = validate_float("min_lr", min_lr, 0.0, exclude=(0.0,))
        self.max_lr = validate_float("max_lr", max_lr, 0.0, exclude=(0.0,))
        if not self.min_lr < self.max_lr:
            raise ValueError(f"max_lr must be greater than min_lr={min_lr}, got {max_lr}")
        self.steps = validate_int("steps", steps, 5)
        self.smoothing = validate_float("smoothing", smoothing, 0.0, 1.0, exclude=(1.0,))
        self.diverged = validate_float("diverged", diverged, 1.0, exclude=(1.0,))
        self.rates: Array = np.empty(0)
        self.losses: Array = np.empty(0)
        self._mean = 0.0
        self._saved: tuple[Any, float] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Keep weights and rate, and begin the test."""
        check_settable(self)
        self.rates, self.losses, self._mean = np.empty(0), np.empty(0), 0.0
        self._saved = (self._copy_state(), float(self.model.learning_rate))

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Set the rate of the batch."""
        position = min(1.0, len(self.losses) / (self.steps - 1))
        self.model.learning_rate = self.min_lr * (self.max_lr / self.min_lr) ** position

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Record the loss, and stop at the end of the test."""
        loss = (self.run.batch_logs if self.run is not None else logs or {}).get("loss")
        if loss is None:
            return
        n = len(self.losses) + 1
        self._mean = self.smoothing * self._mean + (1 - self.smoothing) * float(loss)
        smoothed = self._mean / (1 - self.smoothing**n)
        if math.isfinite(smoothed):
            self.rates = np.append(self.rates, float(self.model.learning_rate))
            self.losses = np.append(self.losses, smoothed)
        if not math.isfinite(smoothed) or smoothed > self.diverged * self.losses.min():
            self.stop(f"the loss diverged at a learning rate of {float(self.model.learning_rate):.3g}")
        elif n >= self.steps:
            self.stop(f"the range test ended after {n} batches")

    def on_teardown(self) -> None:
        """Restore weights, optimizer and rate, after an error too."""
        if self._saved is not None:
            (state, rate), self._saved = self._saved, None
            if isinstance(state, dict):
                self.model.load_state_dict(state)
            else:
                self.model.set_weights(state)
            self.model.learning_rate = rate

    def _copy_state(self) -> Any:
        """Return the state of the whole model if it offers one, else the weights."""
        if hasattr(self.model, "state_dict") and hasattr(self.model, "load_state_dict"):
            return self.model.state_dict()
        return self.model.get_weights()

    def suggestion(self, rule: str = "valley") -> float:
        """Return a learning rate for the training.

        Parameters
        ----------
        rule
            ``"valley"``: the middle of the longest stretch on which the loss
            falls; ``"steep"``: where it falls fastest; ``"minimum"``: a tenth of
            the rate with the lowest loss.

        Raises
        ------
        ValueError
            If the rule is unknown, or the test recorded fewer than five batches.
        """
        rules = {"valley": _valley, "steep": _steep, "minimum": _minimum}
        if rule not in rules:
            raise ValueError(f"rule must be 'valley', 'steep' or 'minimum', got {rule!r}")
        if len(self.losses) < 5:
            raise ValueError(
                f"the range test must have recorded 5 batches, got {len(self.losses)}; "
                "train with more epochs, or begin at a lower min_lr"
            )
        return rules[rule](self.rates, self.losses)

    def plot(self, path: Any = None) -> Figure:
        """Plot the loss over the rate, with the suggestion; write it to a path if given.

        Raises ImportError without matplotlib: ``pip install "onstage[plot]"``.
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot(xscale="log", xlabel="learning rate", ylabel="loss, smoothed")
        axes.plot(self.rates, self.losses)
        best = self.suggestion()
        axes.plot(best, np.interp(best, self.rates, self.losses), "o", label=f"suggestion {best:.2g}")
        axes.legend()
        if path is not None:
            figure.savefig(path)
        return figure

    def state_dict(self) -> State:
        """Return nothing: a range test begins anew."""
        return {}


def _valley(rates: Array, losses: Array) -> float:
    """Return the rate in the middle of the longest falling subsequence of the losses."""
    lengths = np.ones(len(losses), int)  # of the longest one that ends with each loss
    for i in range(1, len(losses)):
        higher = lengths[:i][losses[:i] > losses[i]]
        lengths[i] += higher.max(initial=0)
    end = int(lengths.argmax())
    start = end - int(lengths[end])
    third = (end - start) / 3  # rounded as fastai does
    return float(rates[start + int(third) + int(third / 2)])


def _steep(rates: Array, losses: Array) -> float:
    return float(rates[(np.diff(losses) / np.diff(np.log(rates))).argmin()])


def _minimum(rates: Array, losses: Array) -> float:
    return float(rates[losses.argmin()] / 10)
