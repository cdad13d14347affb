"""Sequential: layers one after another, trained by steps of a plan."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from onstage.model import Array, Batch, Direction, State
from onstage.nn import matching, optimizers, saving
from onstage.nn.layers import Layer
from onstage.nn.network import Network
from onstage.nn.objective import Objective
from onstage.nn.plan import Plan, Setting
from onstage.nn.totals import MetricTotals
from onstage.trainer import Trainer

_PLANS = 8
"""Batch shapes whose buffers are kept; the one that was not used for longest goes."""

# A loss that is infinite or NaN shows in the logs; a warning from the middle of
# some product would say less, and would end a run where warnings are errors.
# Around the loops and not in each step, which it would make 5 % slower.
_quietly = np.errstate(over="ignore", invalid="ignore", divide="ignore")


class Sequential(Network, Trainer):
    """Layers one after another.

    Parameters
    ----------
    layers
        The first may be an `Input`, or have an ``input_shape``. Else the model
        is built from the first data it sees.
    name
        For the summary.
    seed
        Of the weights and of dropout; None: another in each run.
    dtype
        ``"float32"``, or ``"float64"`` to check gradients.

    Examples
    --------
    >>> model = Sequential([Input((64,)), Dense(32, "relu"), Dense(10, "softmax")], seed=0)
    >>> model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    >>> history = model.fit(x, y, epochs=5)
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
            A name, a configuration or an `optimizers.Optimizer`.
        loss
            A name, a configuration, a `losses.Loss`, or a function of
            ``(y_true, y_pred)``: see `losses.FunctionLoss`.
        metrics, weighted_metrics
            Names, configurations, `metrics.Metric`, or functions of
            ``(y_true, y_pred)``. Only the weighted ones heed sample weights.

        Raises
        ------
        ValueError, TypeError
            One of them is unknown, or there is no loss.
        """
        if loss is None:
            raise ValueError("loss must be given, such as 'mse' or 'sparse_categorical_crossentropy'")
        objective = Objective(loss, metrics, weighted_metrics)
        self.optimizer = optimizers.get(optimizer)
        self._objective = objective
        self.stop_training = False
        if self.built:
            self.gather()

    @property
    def metrics_names(self) -> list[str]:
        """The names in the logs, loss first."""
        return list(self.metric_directions())

    fit = _quietly(Trainer.fit)
    evaluate = _quietly(Trainer.evaluate)
    predict = _quietly(Trainer.predict)
    train_on_batch = _quietly(Trainer.train_on_batch)
    test_on_batch = _quietly(Trainer.test_on_batch)
    predict_on_batch = _quietly(Trainer.predict_on_batch)

    # -- the steps

    def train_step(self, batch: Batch, totals: MetricTotals) -> None:  # type: ignore[override]
        """Forward, backward, update; adds the metrics from before the update."""
        x, y, sample_weight = batch
        plan = self._plan("train", x, y)
        weights = None if sample_weight is None else self._weights(sample_weight)
        seen = plan.forward(x)
        totals.add(plan.measure(y, weights), y, plan.predictions, sample_weight)
        plan.backward(seen, weights)
        self.optimizer.apply(self.gradients)  # type: ignore[union-attr]

    def test_step(self, batch: Batch, totals: MetricTotals) -> None:  # type: ignore[override]
        """Forward without training behaviour; adds the metrics."""
        x, y, sample_weight = batch
        plan = self._plan("test", x, y)
        weights = None if sample_weight is None else self._weights(sample_weight)
        plan.forward(x)
        totals.add(plan.measure(y, weights), y, plan.predictions, sample_weight)

    def predict_step(self, batch: Batch) -> Array:
        """Give the outputs of a batch, an array that the caller may keep."""
        plan = self._plan("predict", batch[0], None)
        plan.forward(batch[0])
        return plan.predictions.copy(order="C")

    def _weights(self, sample_weight: Array) -> Array:
        weights = np.asarray(sample_weight, self.dtype)
        return weights if weights.ndim == 1 else weights.swapaxes(0, -1)

    def _plan(self, mode: str, x: Array, y: Array | None) -> Plan:
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
                [each for each in self.weights if each.regularizer is not None],
            )
        return Plan(self._setting, x, None if y is None else y.shape, mode == "train")

    # -- what the trainer asks

    def prepare(self, batches: Any, *, mode: str) -> None:
        """Build the model for this data, and refuse what doesn't fit.

        Parameters
        ----------
        batches
            With `x_spec`, `y_spec` and `y_range`; see `onstage.batches.Batches`.
        mode
            "train", "validation", "test" or "predict".

        Raises
        ------
        ValueError, TypeError
            The model isn't compiled, or x or y don't fit.
        """
        objective = None if mode == "predict" else self._compiled()
        x, y = batches.x_spec, batches.y_spec
        matching.check_dtype("x", x.dtype)
        if not self.built:
            self.build((None, *x.shape))
        matching.check_input(self, tuple(x.shape), x.dtype)
        if objective is not None:
            matching.check_target(self, objective.loss, y, batches.y_range)
            objective.build(self.output_shape, (None, *y.shape))

    def reseed(self, seed: int) -> np.random.Generator:
        """Set the model's randomness; gives the generator that shuffles."""
        own, shuffling = np.random.SeedSequence(seed).spawn(2)
        # The same object: plans hold it.
        self.rng.bit_generator.state = np.random.PCG64(own).state
        return np.random.default_rng(shuffling)

    def shuffle_rng(self) -> np.random.Generator:
        """Give the generator that shuffles when ``fit`` got no seed."""
        return np.random.default_rng(self.rng.integers(2**63))

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
        self._plans.clear()
        self._setting = None
        if self._objective is not None:
            self._objective.metrics = None
        if self.optimizer is not None:
            self.optimizer.build(self.parameters, self.slices)

    # -- state

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is tied to this object's buffers; for copy and pickle."""
        slots = None if self.optimizer is None or not self.built else self.optimizer.state_dict()
        return self.__dict__ | {"_plans": OrderedDict(), "_setting": None, "_slots": slots}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the copied weights views of one buffer again."""
        slots = state.pop("_slots")
        self.__dict__.update(state)
        if self.built:
            self.gather()
        if slots is not None:
            self._needed_optimizer().load_state_dict(slots)

    def state_dict(self) -> State:
        """Copy weights, optimizer slots, averages and random states."""
        return {
            "weights": self.get_weights(),
            "optimizer": None if self.optimizer is None else self.optimizer.state_dict(),
            "rng": dict(self.rng.bit_generator.state),
        }

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` gave, to the bit; all of it or nothing.

        Raises
        ------
        StateError
            It comes from another model, or a part is missing.
        """
        saving.load_state(self, state)

    def save(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the whole model to one file: configuration, weights, optimizer.

        Functions and classes of your own are written by name alone: `load_model`
        wants them back in ``custom_objects``.

        Raises
        ------
        ValueError
            The model is not built yet.
        FileExistsError
            There is a file, and `overwrite` is False.
        """
        saving.save_model(self, filepath, overwrite)

    def save_weights(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the weights alone; raises as `save` does."""
        saving.save_weights(self, filepath, overwrite)

    def snapshot(self, weights_only: bool = False) -> State:
        """Copy what `save`, or `save_weights`, writes: for `storage.save` to write it later."""
        return saving.snapshot_weights(self) if weights_only else saving.snapshot(self)

    def load_weights(self, filepath: str | PathLike[str]) -> None:
        """Read the weights from a file that `save_weights` or `save` wrote.

        Raises
        ------
        StateError
            The file is damaged, or its weights don't fit the model.
        """
        saving.load_weights(self, filepath)


def load_model(
    filepath: str | PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
) -> Sequential:
    """Read a model that ``save`` wrote.

    Nothing that a file names is ever imported: names are looked up among
    onstage's own layers, losses, metrics and optimizers.

    Parameters
    ----------
    custom_objects
        Your own classes and functions in the model, by name.
    compile
        Whether to compile it as it was, and to take up the optimizer's state.

    Raises
    ------
    StateError
        The file is damaged, holds no model, or names something unknown.
    """
    return saving.load_model(Sequential, filepath, custom_objects or {}, compile)
