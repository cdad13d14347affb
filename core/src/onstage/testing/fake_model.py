"""FakeModel: a model whose every number can be told by counting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path

import numpy as np

from onstage.model import Array, Batch, Direction, MetricAccumulator, State
from onstage.run._running_means import RunningMeans, sample_count
from onstage.state import storage
from onstage.trainer import Trainer


class FakeModel(Trainer):
    """Fills in the `Model` contract without learning anything.

    A training step adds 1 to every weight. So after k steps each weight is k
    above where it began; ``loss``, taken before the step as everywhere, is
    ``1 / (1 + k)`` and ``accuracy`` is ``k / (1 + k)``.

    Parameters
    ----------
    learning_rate
        What callbacks read and set; no step looks at it.
    scheduled
        Refuse to have the rate set, as a model under a schedule does.
    use_ema
        Keep a moving average of the weights with momentum 1/2: after k >= 1
        steps from zero it is ``k - 1 + 2 ** (1 - k)``. `finalize_weights` puts
        it in their place.

    Attributes
    ----------
    calls
        How often each method of the contract was called.
    saved
        The files that ``save`` and ``save_weights`` wrote, in order.
    steps
        Training steps so far.
    """

    def __init__(self, learning_rate: float = 0.1, scheduled: bool = False, use_ema: bool = False) -> None:
        self.calls: Counter[str] = Counter()
        self.saved: list[Path] = []
        self.steps = 0
        self.scheduled = scheduled
        self.use_ema = use_ema
        self._learning_rate = float(learning_rate)
        self._weights: list[Array] = [np.zeros((2, 1), np.float32), np.zeros(1, np.float32)]
        self._average: list[Array] | None = None
        self._gradient_callback: Callable[[list[Array]], None] | None = None

    @property
    def learning_rate(self) -> float:
        """The rate now; setting it raises TypeError where it is scheduled."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        if self.scheduled:
            raise TypeError("learning_rate must not be set: the optimizer's rate is a schedule")
        self._learning_rate = float(rate)

    def new_accumulator(self) -> MetricAccumulator:
        """Make empty totals for one stage."""
        self.calls["new_totals"] += 1
        return RunningMeans()

    def train_step(self, batch: Batch, accumulator: MetricAccumulator) -> None:
        """Add 1 to every weight; the metrics are those from before."""
        self.calls["train_step"] += 1
        self._measure(batch, accumulator)
        self.steps += 1
        gradients = [np.full_like(weight, -1) for weight in self._weights]
        if self._gradient_callback is not None:
            self._gradient_callback(gradients)
        for weight, gradient in zip(self._weights, gradients, strict=True):
            weight -= gradient
        if self.use_ema:
            before = self._average or self._weights
            self._average = [(old + new) / 2 for old, new in zip(before, self._weights, strict=True)]

    def set_gradient_callback(self, function: Callable[[list[Array]], None] | None) -> None:
        """Call a function with the gradients, -1 everywhere, before each update; None for none."""
        self._gradient_callback = function

    def test_step(self, batch: Batch, accumulator: MetricAccumulator) -> None:
        """Add the metrics of now."""
        self.calls["test_step"] += 1
        self._measure(batch, accumulator)

    def _measure(self, batch: Batch, accumulator: MetricAccumulator) -> None:
        assert isinstance(accumulator, RunningMeans), "FakeModel steps take the totals of new_totals()"
        loss = 1 / (1 + self.steps)
        accumulator.add({"loss": loss, "accuracy": 1 - loss}, sample_count(batch))

    def predict_step(self, batch: Batch) -> Array:
        """Give ``x @ kernel + bias``; x has two columns."""
        self.calls["predict_step"] += 1
        kernel, bias = self._weights
        outputs: Array = np.asarray(batch[0], np.float32) @ kernel + bias
        return outputs

    def metric_directions(self) -> Mapping[str, Direction | None]:
        """Name the metrics: loss is better when low, accuracy when high."""
        return {"loss": "min", "accuracy": "max"}

    def get_weights(self) -> list[Array]:
        """Copy the weights: a kernel of shape (2, 1) and a bias of shape (1,)."""
        self.calls["get_weights"] += 1
        return [weight.copy() for weight in self._weights]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Replace the weights; raises ValueError when a shape differs."""
        self.calls["set_weights"] += 1
        shapes = [np.shape(weight) for weight in weights]
        if shapes != [(2, 1), (1,)]:
            raise ValueError(f"weights must have the shapes (2, 1) and (1,), got {shapes}")
        self._weights = [np.array(weight, np.float32) for weight in weights]

    def state_dict(self) -> State:
        """Copy weights, rate and the count of steps."""
        self.calls["state_dict"] += 1
        return {
            "weights": [weight.copy() for weight in self._weights],
            "average": self._average,
            "learning_rate": self._learning_rate,
            "steps": self.steps,
        }

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` gave."""
        self.calls["load_state_dict"] += 1
        self._weights = [np.array(weight, np.float32) for weight in state["weights"]]
        self._average = state["average"]
        self._learning_rate, self.steps = state["learning_rate"], state["steps"]

    def finalize_weights(self) -> None:
        """Put the average in the weights' place, where there is one."""
        self.calls["finalize_weights"] += 1
        if self._average is not None:
            self._weights = [weight.copy() for weight in self._average]

    def save(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the state to a file."""
        self._write("save", filepath, overwrite, self.state_dict())

    def save_weights(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the weights to a file."""
        self._write("save_weights", filepath, overwrite, {"weights": list(self._weights)})

    def snapshot(self, weights_only: bool = False) -> State:
        """Give what `save`, or `save_weights`, writes; the weights are the model's own."""
        self.calls["snapshot"] += 1
        return {"weights": list(self._weights)} if weights_only else self.state_dict()

    def _write(self, method: str, filepath: str | PathLike[str], overwrite: bool, state: State) -> None:
        path = Path(fspath(filepath))
        self.calls[method] += 1
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists; pass overwrite=True to replace it")
        storage.save(path, state)
        self.saved.append(path)
