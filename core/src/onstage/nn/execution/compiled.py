"""CompiledNetwork: the train, test and predict steps of a compiled network."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from onstage.model import Array, Batch, MetricAccumulator
from onstage.nn import input_checks
from onstage.nn.execution.compilation import Compilation
from onstage.nn.execution.metric_accumulator import NumpyMetricAccumulator
from onstage.nn.execution.plan import ExecutionPlan, PlanConfig
from onstage.nn.execution.workspace import Workspace
from onstage.nn.layers import Layer
from onstage.nn.layers.calling import as_values

_PLANS = 8
"""Number of batch shapes whose buffers are kept; the least recently used is dropped."""


class CompiledNetwork(Compilation):
    """A compiled network with its steps, over plans of fixed buffers.

    Base class of `Sequential`, which documents the parameters.
    """

    def __init__(
        self,
        layers: Iterable[Layer] | None = None,
        name: str | None = None,
        seed: int | None = None,
        dtype: DTypeLike = "float32",
    ) -> None:
        self._gradient_callback: Callable[[list[Array]], None] | None = None
        self._plans: OrderedDict[tuple[Any, ...], ExecutionPlan] = OrderedDict()
        self._config: PlanConfig | None = None
        self._changes = 0
        self._flags: list[bool] = []
        self._in_step = False
        super().__init__(layers, name, seed, dtype)

    def __call__(self, x: object, training: bool | None = None) -> Array:
        """Return the output for a batch of numbers as a new array, without firing stages.

        Parameters
        ----------
        x
            Array-like; the first axis is the batch.
        training
            Whether dropout and batch statistics are active; by default they are not.
        """
        values = as_values(x)
        plan = self._plan("forward" if training else "predict", values, None)
        plan.forward(values)
        return plan.predictions.copy(order="C")

    def train_step(self, batch: Batch, accumulator: MetricAccumulator) -> None:
        """Run forward, backward and update; accumulate the metrics before the update."""
        assert isinstance(accumulator, NumpyMetricAccumulator)
        x, y, sample_weight = batch
        plan = self._plan("train", x, y)
        weights = None if sample_weight is None else self._weights(sample_weight)
        self._in_step = True
        try:
            seen = plan.forward(x)
            accumulator.add(plan.measure(y, weights), y, plan.predictions, sample_weight, plan.sample_losses)
            plan.backward(seen, weights)
        finally:
            self._in_step = False
        if self._gradient_callback is not None:
            self._gradient_callback([each.gradient for each in self.trainable_weights])
        self.optimizer.apply(self.gradients)  # type: ignore[union-attr]

    def set_gradient_callback(self, function: Callable[[list[Array]], None] | None) -> None:
        """Call a function with the gradients before each update; None for none.

        They are in the order of `trainable_weights`, and may be changed in place.
        """
        self._gradient_callback = function

    def test_step(self, batch: Batch, accumulator: MetricAccumulator) -> None:
        """Run forward in inference mode and accumulate the metrics."""
        assert isinstance(accumulator, NumpyMetricAccumulator)
        x, y, sample_weight = batch
        plan = self._plan("test", x, y)
        weights = None if sample_weight is None else self._weights(sample_weight)
        self._in_step = True
        try:
            plan.forward(x)
            accumulator.add(plan.measure(y, weights), y, plan.predictions, sample_weight, plan.sample_losses)
        finally:
            self._in_step = False

    def predict_step(self, batch: Batch) -> Array:
        """Return the outputs of a batch as a new array."""
        plan = self._plan("predict", batch[0], None)
        plan.forward(batch[0])
        return plan.predictions.copy(order="C")

    def _weights(self, sample_weight: Array) -> Array:
        weights = np.asarray(sample_weight, self.dtype)
        return weights if weights.ndim == 1 else weights.swapaxes(0, -1)

    def _plan(self, mode: str, x: Array, y: Array | None) -> ExecutionPlan:
        if self._in_step:
            # A loss or a metric that calls the model must not overwrite the step's buffers.
            return self._new_plan(mode, x, y, Workspace())
        if self._changes != Layer.changes:
            self._update_trainable()
        key = (mode, x.shape, None if y is None else y.shape)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = self._new_plan(mode, x, y)
            if len(self._plans) > _PLANS:
                self._plans.popitem(last=False)
        elif len(self._plans) > 1:
            self._plans.move_to_end(key)
        return plan

    def _new_plan(
        self, mode: str, x: Array, y: Array | None, workspace: Workspace | None = None
    ) -> ExecutionPlan:
        if not self.built:
            self.build((None, *x.shape[1:]))
        input_checks.check_input(self, x.shape[1:], x.dtype)
        if mode in ("train", "test"):
            input_checks.check_target(self, self._require_compiled().loss, y)
        if self._config is None:
            self._config = PlanConfig(
                tuple(self.layers),
                self.dtype,
                self.rng,
                None if self._compiled_loss is None else self._compiled_loss.loss,
                [each for each in self.trainable_weights if each.regularizer is not None],
                Workspace(),
            )
        config = self._config if workspace is None else self._config._replace(workspace=workspace)
        return ExecutionPlan(config, x, None if y is None else y.shape, mode in ("train", "forward"))

    def flatten_parameters(self) -> None:
        """Move the variables to one buffer and drop the plans bound to the old one."""
        super().flatten_parameters()
        self._forget_plans()
        if self.optimizer is not None:
            self._build_optimizer()

    def _forget_plans(self) -> None:
        self._plans.clear()
        self._config = None
        if self._compiled_loss is not None:
            self._compiled_loss.metrics = None

    def _update_trainable(self) -> None:
        """Adapt plans, penalties and updates to the layers trainable now."""
        self._changes = Layer.changes
        flags = [layer.trainable for layer in self.layers]
        if flags == self._flags:
            return
        self._flags = flags
        self._plans.clear()
        self._config = None
        if self.optimizer is not None and self.built:
            self.optimizer.freeze(self.frozen())
