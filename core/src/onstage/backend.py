"""Backend: the steps that a kind of model fills in, for `trainer.Trainer` to loop over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from onstage.callbacks._history import History
from onstage.data import _arrays as batching
from onstage.model import Batch, Direction, MetricAccumulator


class Backend:
    """What a model must compute, and may decide, for a `Trainer`.

    A backend gives the steps of the `Model` protocol, and may override
    `make_batches` (what data it takes), `prepare` (what it checks before the
    first stage) and `join_outputs`.
    """

    stop_training: bool = False
    stop_evaluating: bool = False
    stop_predicting: bool = False
    history: History | None = None

    def new_accumulator(self) -> MetricAccumulator:
        """Make empty totals for one stage."""
        raise NotImplementedError

    def train_step(self, batch: Batch, accumulator: MetricAccumulator) -> None:
        """Forward, backward, update; adds the metrics from before the update."""
        raise NotImplementedError

    def test_step(self, batch: Batch, accumulator: MetricAccumulator) -> None:
        """Forward without training behaviour; adds the metrics."""
        raise NotImplementedError

    def predict_step(self, batch: Batch) -> Any:
        """Give the outputs of a batch, an array that the caller may keep."""
        raise NotImplementedError

    def metric_directions(self) -> Mapping[str, Direction | None]:
        """Name the metrics in log order, and whether down or up is better."""
        raise NotImplementedError

    def prepare(self, batches: Any, *, mode: str) -> None:
        """Build the model for this data, and refuse what doesn't fit.

        Called before the first stage fires.
        """

    def reseed(self, seed: int) -> np.random.Generator:
        """Set the model's randomness; gives the generator that shuffles."""
        return np.random.default_rng(seed)

    def shuffle_rng(self) -> np.random.Generator:
        """Give the generator that shuffles when ``fit`` got no seed."""
        return np.random.default_rng()

    def make_batches(self, x: Any, y: Any = None, sample_weight: Any = None, **options: Any) -> Any:
        """Turn data into batches; the options are those of `data.as_batches`."""
        if options.get("shuffle") and options.get("rng") is None:
            options["rng"] = self.shuffle_rng()
        return batching.as_batches(x, y, sample_weight, **options)

    def join_outputs(self, outputs: list[Any]) -> Any:
        """Join the outputs of the batches of a prediction."""
        return np.concatenate(outputs)

    # -- one batch, no stages

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[Any, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Train on one batch; no callback hears of it."""
        return self._one_batch(self.train_step, "train", x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Measure one batch; no callback hears of it."""
        return self._one_batch(self.test_step, "test", x, y, sample_weight, None, return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Compute the outputs for one batch; no callback hears of it."""
        batches = self.make_batches(x, batch_size=len(x))
        self.prepare(batches, mode="predict")
        return self.predict_step(next(iter(batches)))

    def _one_batch(
        self,
        step: Callable[[Batch, MetricAccumulator], None],
        mode: str,
        x: Any,
        y: Any,
        sample_weight: Any,
        class_weight: Any,
        return_dict: bool,
    ) -> Any:
        batches = self.make_batches(x, y, sample_weight, batch_size=len(x), class_weight=class_weight)
        self.prepare(batches, mode=mode)
        accumulator = self.new_accumulator()
        step(next(iter(batches)), accumulator)
        logs = dict(accumulator.logs())
        values = list(logs.values())
        return logs if return_dict else values[0] if len(values) == 1 else values
