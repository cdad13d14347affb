"""Backend: the steps of a model that `onstage.Trainer` loops over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from onstage.callbacks._history import History
from onstage.data import _arrays as batching
from onstage.model import Batch, Direction, MetricAccumulator


class Backend:
    """Base class of `onstage.Trainer`: the methods that a backend implements.

    A backend implements the steps of `onstage.Model` and may override
    `make_batches` (the data it accepts), `prepare` (its checks before the
    first stage) and `join_outputs`.
    """

    stop_training: bool = False
    stop_evaluating: bool = False
    stop_predicting: bool = False
    history: History | None = None

    def new_accumulator(self) -> MetricAccumulator:
        """Make an empty accumulator for one stage."""
        raise NotImplementedError

    def train_step(self, batch: Batch, accumulator: MetricAccumulator) -> None:
        """Run forward, backward and update; accumulate the metrics before the update."""
        raise NotImplementedError

    def test_step(self, batch: Batch, accumulator: MetricAccumulator) -> None:
        """Run forward in inference mode and accumulate the metrics."""
        raise NotImplementedError

    def predict_step(self, batch: Batch) -> Any:
        """Return the outputs of a batch as a new array."""
        raise NotImplementedError

    def predict_step_async(self, batch: Batch) -> Any:
        """Return the outputs of a batch that only `join_outputs` reads, which may wait for them."""
        return self.predict_step(batch)

    def metric_directions(self) -> Mapping[str, Direction | None]:
        """Map metric names, in log order, to their direction of improvement."""
        raise NotImplementedError

    def prepare(self, batches: Any, *, mode: str) -> None:
        """Build the model for this data. Raise if the data does not fit.

        Called before the first stage fires; mode is ``"train"``,
        ``"validation"``, ``"test"`` or ``"predict"``.
        """

    def reseed(self, seed: int) -> np.random.Generator:
        """Seed the randomness of the model; return the generator for shuffling."""
        return np.random.default_rng(seed)

    def shuffle_rng(self) -> np.random.Generator:
        """Return the generator for shuffling when ``fit`` has no seed."""
        return np.random.default_rng()

    def make_batches(self, x: Any, y: Any = None, sample_weight: Any = None, **options: Any) -> Any:
        """Make batches of data, with the options of `onstage.data.as_batches`."""
        if options.get("shuffle") and options.get("rng") is None:
            options["rng"] = self.shuffle_rng()
        return batching.as_batches(x, y, sample_weight, **options)

    def join_outputs(self, outputs: list[Any]) -> Any:
        """Join the outputs of the batches of a prediction to one array."""
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
        """Train on one batch, without firing stages.

        Return the loss, or a list of loss and metrics, or with return_dict a
        dict; computed before the update.
        """
        return self._one_batch(self.train_step, "train", x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Evaluate one batch, without firing stages; return as `train_on_batch`."""
        return self._one_batch(self.test_step, "test", x, y, sample_weight, None, return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs for one batch, without firing stages."""
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
