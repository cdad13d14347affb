"""CompiledNetwork: a network that makes steps of training, measuring, predicting."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from onstage.model import Array, Batch, Direction, Totals
from onstage.nn import matching, optimizers
from onstage.nn.layers import Layer
from onstage.nn.network import Network
from onstage.nn.objective import Objective
from onstage.nn.plan import Plan, Setting
from onstage.nn.totals import MetricTotals

_PLANS = 8
"""Batch shapes whose buffers are kept; the one that was not used for longest goes."""


class CompiledNetwork(Network):
    """A network with a loss, metrics and an optimizer.

    The base of `Sequential`, which explains the parameters.
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
        self._objective: Objective | None = None
        self._plans: OrderedDict[tuple[Any, ...], Plan] = OrderedDict()
        self._setting: Setting | None = None
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
        """Choose how the model is trained; the weights stay.

        Parameters
        ----------
        optimizer
            A name, a configuration or an `optimizers.Optimizer`. The one that
            the model has already keeps its state, as in Keras.
        loss
            A name, a configuration, a `losses.Loss`, or a function of
            ``(y_true, y_pred)``: see `losses.FunctionLoss`.
        metrics, weighted_metrics
            Names, configurations, `metrics.Metric`, or functions of
            ``(y_true, y_pred)``. Only the weighted ones heed sample weights.
            A loss as a metric, by its name or as an object, is computed as the
            loss is: see `metrics.LossMetric`. The names in the logs are
            Keras's: see `onstage.metric_names.log_names`.

        Raises
        ------
        ValueError, TypeError
            One of them is unknown, or there is no loss.
        """
        if loss is None:
            raise ValueError("loss must be given, such as 'mse' or 'sparse_categorical_crossentropy'")
        objective = Objective(loss, metrics, weighted_metrics)
        chosen = optimizers.get(optimizer)
        self.optimizer = chosen
        self._objective = objective
        self.stop_training = False
        if self.built:
            self._forget_plans()
            if not chosen.trains(self.parameters):
                self._build_optimizer()

    @property
    def metrics_names(self) -> list[str]:
        """The names in the logs, loss first."""
        return list(self.metric_directions())

    def train_step(self, batch: Batch, totals: Totals) -> None:
        """Forward, backward, update; adds the metrics from before the update."""
        assert isinstance(totals, MetricTotals)
        x, y, sample_weight = batch
        plan = self._plan("train", x, y)
        weights = None if sample_weight is None else self._weights(sample_weight)
        seen = plan.forward(x)
        totals.add(plan.measure(y, weights), y, plan.predictions, sample_weight, plan.values_of)
        plan.backward(seen, weights)
        self.optimizer.apply(self.gradients)  # type: ignore[union-attr]

    def test_step(self, batch: Batch, totals: Totals) -> None:
        """Forward without training behaviour; adds the metrics."""
        assert isinstance(totals, MetricTotals)
        x, y, sample_weight = batch
        plan = self._plan("test", x, y)
        weights = None if sample_weight is None else self._weights(sample_weight)
        plan.forward(x)
        totals.add(plan.measure(y, weights), y, plan.predictions, sample_weight, plan.values_of)

    def predict_step(self, batch: Batch) -> Array:
        """Give the outputs of a batch, an array that the caller may keep."""
        plan = self._plan("predict", batch[0], None)
        plan.forward(batch[0])
        return plan.predictions.copy(order="C")

    def _weights(self, sample_weight: Array) -> Array:
        weights = np.asarray(sample_weight, self.dtype)
        return weights if weights.ndim == 1 else weights.swapaxes(0, -1)

    def _plan(self, mode: str, x: Array, y: Array | None) -> Plan:
        if self._changes != Layer.changes:
            self._heed_flags()
        key = (mode, x.shape, None if y is None else y.shape)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = self._new_plan(mode, x, y)
            if len(self._plans) > _PLANS:
                self._plans.popitem(last=False)
        elif len(self._plans) > 1:
            self._plans.move_to_end(key)
        return plan

    def _new_plan(self, mode: str, x: Array, y: Array | None) -> Plan:
        if not self.built:
            self.build((None, *x.shape[1:]))
        matching.check_input(self, x.shape[1:], x.dtype)
        if mode != "predict":
            matching.check_target(self, self._compiled().loss, y)
        if self._setting is None:
            self._setting = Setting(
                tuple(self.layers),
                self.dtype,
                self.rng,
                None if self._objective is None else self._objective.loss,
                [each for each in self.trainable_weights if each.regularizer is not None],
            )
        return Plan(self._setting, x, None if y is None else y.shape, mode == "train")

    def new_totals(self) -> MetricTotals:
        """Make empty totals for one stage."""
        return self._compiled().new_totals(self.output_shape)

    def metric_directions(self) -> Mapping[str, Direction | None]:
        """Name the metrics in log order, and whether down or up is better."""
        return self._compiled().directions(self.output_shape)

    @property
    def learning_rate(self) -> float:
        """The optimizer's rate now. Setting it raises TypeError under a schedule."""
        return self._needed_optimizer().learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._needed_optimizer().learning_rate = value

    def finalize_weights(self) -> None:
        """End a training: replace the weights by their average under EMA."""
        self._needed_optimizer().finalize()

    def _compiled(self) -> Objective:
        if self._objective is None:
            raise ValueError("You must call compile() before training or measuring the model")
        return self._objective

    def _needed_optimizer(self) -> optimizers.Optimizer:
        if self.optimizer is None:
            # So that hasattr(model, "learning_rate") tells.
            raise AttributeError("the model has no optimizer yet; call compile() first")
        return self.optimizer

    def gather(self) -> None:
        """Put the trainable variables into one buffer, and forget what was tied to the last."""
        super().gather()
        self._forget_plans()
        if self.optimizer is not None:
            self._build_optimizer()

    def _forget_plans(self) -> None:
        self._plans.clear()
        self._setting = None
        if self._objective is not None:
            self._objective.metrics = None

    def _build_optimizer(self) -> None:
        optimizer = self._needed_optimizer()
        optimizer.build(self.parameters, self.slices)
        optimizer.freeze(self.frozen())

    def _heed_flags(self) -> None:
        """Make plans, penalties and updates fit the layers that are trainable now."""
        self._changes = Layer.changes
        flags = [layer.trainable for layer in self.layers]
        if flags == self._flags:
            return
        self._flags = flags
        self._plans.clear()
        self._setting = None
        if self.optimizer is not None and self.built:
            self.optimizer.freeze(self.frozen())
