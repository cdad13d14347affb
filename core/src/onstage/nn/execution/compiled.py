"""CompiledNetwork: a network with train, test and predict steps."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from onstage.model import Array, Batch, Direction, MetricAccumulator
from onstage.nn import input_checks, optimizers
from onstage.nn.execution.loss_and_metrics import CompiledLoss
from onstage.nn.execution.metric_accumulator import NumpyMetricAccumulator
from onstage.nn.execution.plan import ExecutionPlan, PlanConfig
from onstage.nn.layers import Layer
from onstage.nn.network import Network

_PLANS = 8
"""Number of batch shapes whose buffers are kept; the least recently used is dropped."""


class CompiledNetwork(Network):
    """A network with a loss, metrics and an optimizer.

    Base class of `Sequential`, which documents the parameters.
    """

    def __init__(
        self,
        layers: Iterable[Layer] | None = None,
        name: str | None = None,
        seed: int | None = None,
        dtype: DTypeLike = "float32",
    ) -> None:
        self.optimizer: optimizers.Optimizer | None = None
        self.stop_training = False
        self._gradient_callback: Callable[[list[Array]], None] | None = None
        self._compiled_loss: CompiledLoss | None = None
        self._plans: OrderedDict[tuple[Any, ...], ExecutionPlan] = OrderedDict()
        self._config: PlanConfig | None = None
        self._changes = 0
        self._flags: list[bool] = []
        super().__init__(layers, name, seed, dtype)

    def compile(
        self,
        optimizer: object = "rmsprop",
        loss: object = None,
        metrics: Sequence[object] | None = None,
        weighted_metrics: Sequence[object] | None = None,
    ) -> None:
        """Configure the training; the weights are kept.

        Parameters
        ----------
        optimizer
            Name, configuration or `optimizers.Optimizer`. An optimizer that
            this model already uses keeps its state, as in Keras.
        loss
            Name, configuration, `losses.Loss`, or a function of
            ``(y_true, y_pred)``: see `losses.FunctionLoss`.
        metrics, weighted_metrics
            Names, configurations, `metrics.Metric`, or functions of
            ``(y_true, y_pred)``. Only the weighted ones use sample weights.
            A loss used as a metric, by name or as an object, is computed in
            the same way as the loss: see `metrics.LossMetric`. Names in the
            logs follow Keras: see `onstage.metric_names.log_names`.

        Raises
        ------
        ValueError, TypeError
            If an argument is unknown, or there is no loss.
        """
        if loss is None:
            raise ValueError(
                "loss must be given, got None; pass a name such as 'mse' or 'sparse_categorical_crossentropy'"
            )
        compiled_loss = CompiledLoss(loss, metrics, weighted_metrics)
        chosen = optimizers.get(optimizer)
        self.optimizer = chosen
        self._compiled_loss = compiled_loss
        self.stop_training = False
        if self.built:
            self._forget_plans()
            if not chosen.trains(self.parameters):
                self._build_optimizer()

    @property
    def metrics_names(self) -> list[str]:
        """Names in the logs, loss first."""
        return list(self.metric_directions())

    def train_step(self, batch: Batch, accumulator: MetricAccumulator) -> None:
        """Run forward, backward and update; accumulate the metrics before the update."""
        assert isinstance(accumulator, NumpyMetricAccumulator)
        x, y, sample_weight = batch
        plan = self._plan("train", x, y)
        weights = None if sample_weight is None else self._weights(sample_weight)
        seen = plan.forward(x)
        accumulator.add(plan.measure(y, weights), y, plan.predictions, sample_weight, plan.sample_losses)
        plan.backward(seen, weights)
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
        plan.forward(x)
        accumulator.add(plan.measure(y, weights), y, plan.predictions, sample_weight, plan.sample_losses)

    def predict_step(self, batch: Batch) -> Array:
        """Return the outputs of a batch as a new array."""
        plan = self._plan("predict", batch[0], None)
        plan.forward(batch[0])
        return plan.predictions.copy(order="C")

    def _weights(self, sample_weight: Array) -> Array:
        weights = np.asarray(sample_weight, self.dtype)
        return weights if weights.ndim == 1 else weights.swapaxes(0, -1)

    def _plan(self, mode: str, x: Array, y: Array | None) -> ExecutionPlan:
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

    def _new_plan(self, mode: str, x: Array, y: Array | None) -> ExecutionPlan:
        if not self.built:
            self.build((None, *x.shape[1:]))
        input_checks.check_input(self, x.shape[1:], x.dtype)
        if mode != "predict":
            input_checks.check_target(self, self._require_compiled().loss, y)
        if self._config is None:
            self._config = PlanConfig(
                tuple(self.layers),
                self.dtype,
                self.rng,
                None if self._compiled_loss is None else self._compiled_loss.loss,
                [each for each in self.trainable_weights if each.regularizer is not None],
            )
        return ExecutionPlan(self._config, x, None if y is None else y.shape, mode == "train")

    def new_accumulator(self) -> NumpyMetricAccumulator:
        """Make an empty accumulator for one stage."""
        return self._require_compiled().new_accumulator(self.output_shape)

    def metric_directions(self) -> Mapping[str, Direction | None]:
        """Map metric names, in log order, to their direction of improvement."""
        return self._require_compiled().directions(self.output_shape)

    @property
    def learning_rate(self) -> float:
        """Current learning rate; setting it raises TypeError under a schedule."""
        return self._require_optimizer().learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._require_optimizer().learning_rate = value

    def finalize_weights(self) -> None:
        """Replace the weights by their moving average, if the optimizer keeps one."""
        self._require_optimizer().finalize()

    def _require_compiled(self) -> CompiledLoss:
        if self._compiled_loss is None:
            raise ValueError("You must call compile() before training or evaluating the model")
        return self._compiled_loss

    def _require_optimizer(self) -> optimizers.Optimizer:
        if self.optimizer is None:
            # AttributeError, so that hasattr(model, "learning_rate") is False.
            raise AttributeError("the model must have an optimizer, got none; call compile() first")
        return self.optimizer

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

    def _build_optimizer(self) -> None:
        optimizer = self._require_optimizer()
        optimizer.build(self.parameters, self.slices)
        optimizer.freeze(self.frozen())

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
