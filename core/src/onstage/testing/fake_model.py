"""FakeModel: a model whose numbers all follow from its step count."""

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
    """Implementation of the `Model` protocol that learns nothing.

    A training step adds 1 to every weight, so after k steps each weight is k
    above its initial value; ``loss``, computed before the step as in every
    backend, is ``1 / (1 + k)`` and ``accuracy`` is ``k / (1 + k)``.

    Parameters
    ----------
    learning_rate
        The rate that callbacks read and set; the steps don't use it.
    scheduled
        Whether setting the rate raises, as in a model with a schedule.
    use_ema
        Whether to keep a moving average of the weights with momentum 1/2: after
        k >= 1 steps from zero it is ``k - 1 + 2 ** (1 - k)``. `finalize_weights`
        replaces the weights by it.

    Attributes
    ----------
    calls
        Number of calls of each method of the protocol.
    saved
        Files written by ``save`` and ``save_weights``, in order.
    steps
        Number of training steps so far.

    Examples
    --------
    >>> model = FakeModel()
    >>> history = model.fit([[1.0, 2.0]], [[1.0]], epochs=3, verbose=0)
    >>> [weight.tolist() for weight in model.get_weights()]
    [[[3.0], [3.0]], [3.0]]
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
        """The current rate; setting it raises TypeError if it is scheduled."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        if self.scheduled:
            raise TypeError("learning_rate must not be set: the optimizer's rate is a schedule")
        self._learning_rate = float(rate)

    def new_accumulator(self) -> MetricAccumulator:
        """Make an empty accumulator for one stage."""
        self.calls["new_accumulator"] += 1
        return RunningMeans()

    def train_step(self, batch: Batch, accumulator: MetricAccumulator) -> None:
        """Accumulate the metrics, then add 1 to every weight."""
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
        """Call `function` with the gradients, all -1, before each update; None removes it."""
        self._gradient_callback = function

    def test_step(self, batch: Batch, accumulator: MetricAccumulator) -> None:
        """Accumulate the current metrics."""
        self.calls["test_step"] += 1
        self._measure(batch, accumulator)

    def _measure(self, batch: Batch, accumulator: MetricAccumulator) -> None:
        assert isinstance(accumulator, RunningMeans), (
            "FakeModel steps take the accumulator of new_accumulator()"
        )
        loss = 1 / (1 + self.steps)
        accumulator.add({"loss": loss, "accuracy": 1 - loss}, sample_count(batch))

    def predict_step(self, batch: Batch) -> Array:
        """Return ``x @ kernel + bias``; x has two columns."""
        self.calls["predict_step"] += 1
        kernel, bias = self._weights
        outputs: Array = np.asarray(batch[0], np.float32) @ kernel + bias
        return outputs

    def metric_directions(self) -> Mapping[str, Direction | None]:
        """Return the better direction of each metric: loss lower, accuracy higher."""
        return {"loss": "min", "accuracy": "max"}

    def get_weights(self) -> list[Array]:
        """Return copies of the weights: a kernel of shape (2, 1) and a bias of shape (1,)."""
        self.calls["get_weights"] += 1
        return [weight.copy() for weight in self._weights]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Replace the weights. Raise ValueError if a shape differs."""
        self.calls["set_weights"] += 1
        shapes = [np.shape(weight) for weight in weights]
        if shapes != [(2, 1), (1,)]:
            raise ValueError(f"weights must have the shapes (2, 1) and (1,), got {shapes}")
        self._weights = [np.array(weight, np.float32) for weight in weights]

    def state_dict(self) -> State:
        """Return copies of the weights, the rate and the number of steps."""
        self.calls["state_dict"] += 1
        return {
            "weights": [weight.copy() for weight in self._weights],
            "average": self._average,
            "learning_rate": self._learning_rate,
            "steps": self.steps,
        }

    def load_state_dict(self, state: State) -> None:
        """Restore a state of `state_dict`."""
        self.calls["load_state_dict"] += 1
        self._weights = [np.array(weight, np.float32) for weight in state["weights"]]
        self._average = state["average"]
        self._learning_rate, self.steps = state["learning_rate"], state["steps"]

    def finalize_weights(self) -> None:
        """Replace the weights by their average, if there is one."""
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
        """Return the state that `save`, or `save_weights`, writes; weights are not copied."""
        self.calls["snapshot"] += 1
        return {"weights": list(self._weights)} if weights_only else self.state_dict()

    def _write(self, method: str, filepath: str | PathLike[str], overwrite: bool, state: State) -> None:
        path = Path(fspath(filepath))
        self.calls[method] += 1
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists; pass overwrite=True to replace it")
        storage.save(path, state)
        self.saved.append(path)
