"""Compilation: the loss, the metrics and the optimizer of a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from numpy.typing import DTypeLike

from onstage.model import Direction
from onstage.nn import optimizers
from onstage.nn.execution.loss_and_metrics import CompiledLoss
from onstage.nn.execution.metric_accumulator import NumpyMetricAccumulator
from onstage.nn.execution.metric_views import MetricView
from onstage.nn.layers import Layer
from onstage.nn.network import Network
from onstage.validation import validate_bool, validate_int


class Compilation(Network):
    """A network with a loss, metrics and an optimizer.

    Base class of `Sequential`, which documents the parameters.

    Attributes
    ----------
    loss : object
        Argument of `compile`.
    optimizer : Optimizer or None
        None before `compile`.
    """

    def __init__(
        self,
        layers: Iterable[Layer] | None = None,
        name: str | None = None,
        seed: int | None = None,
        dtype: DTypeLike = "float32",
    ) -> None:
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: object = None
        self.stop_training = False
        self._compiled_loss: CompiledLoss | None = None
        self._accumulator: NumpyMetricAccumulator | None = None
        super().__init__(layers, name, seed, dtype)

    def compile(
        self,
        optimizer: object = "rmsprop",
        loss: object = None,
        metrics: Sequence[object] | None = None,
        *,
        weighted_metrics: Sequence[object] | None = None,
        loss_weights: None = None,
        run_eagerly: bool | None = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str | None = "auto",
        auto_scale_loss: bool = True,
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
        loss_weights
            Must be None: the model has one output.
        run_eagerly, jit_compile, auto_scale_loss
            Have no effect: numpy compiles nothing and needs no scaled loss.
        steps_per_execution
            Integer >= 1; has no effect: the batch stages fire for every batch.

        Raises
        ------
        ValueError, TypeError
            If an argument is unknown or invalid, or there is no loss.
        """
        if loss is None:
            raise ValueError(
                "loss must be given, got None; pass a name such as 'mse' or 'sparse_categorical_crossentropy'"
            )
        if loss_weights is not None:
            raise ValueError(
                f"loss_weights must be None, as the model has one output, got {loss_weights!r}; "
                "scale the learning rate instead"
            )
        validate_int("steps_per_execution", steps_per_execution, 1)
        validate_bool("auto_scale_loss", auto_scale_loss)
        if jit_compile != "auto":
            validate_bool("jit_compile", bool(jit_compile) if jit_compile is None else jit_compile)
        validate_bool("run_eagerly", bool(run_eagerly) if run_eagerly is None else run_eagerly)
        compiled_loss = CompiledLoss(loss, metrics, weighted_metrics)
        chosen = optimizers.get(optimizer)
        self.optimizer, self.loss = chosen, loss
        self._compiled_loss, self._accumulator = compiled_loss, None
        self.stop_training = False
        if self.built:
            self._forget_plans()
            if not chosen.trains(self.parameters):
                self._build_optimizer()

    def __repr__(self) -> str:
        layers = ", ".join(type(layer).__name__ for layer in self.layers)
        weights = sum(variable.value.size for layer in self.layers for variable in layer.weights)
        parts = [f"name={self.name!r} layers=[{layers}] weights={f'{weights:,}' if self.built else '?'}"]
        if self.optimizer is not None:
            name = getattr(self.loss, "__name__", type(self.loss).__name__)
            loss = self.loss if isinstance(self.loss, str) else name
            parts.append(f"optimizer={self.optimizer.name!r} loss={loss!r}")
        return f"<{type(self).__name__} {' '.join(parts)}>"

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._compiled_loss is not None

    @property
    def metrics_names(self) -> list[str]:
        """Names in the logs, loss first."""
        return list(self.metric_directions())

    @property
    def metrics(self) -> list[MetricView]:
        """The loss and the metrics, with their values in the stage that began last.

        Empty before `compile`; the loss alone before the model is built.
        """
        if self._compiled_loss is None:
            return []
        loss: dict[str, Direction | None] = {"loss": "min"}
        directions = self.metric_directions() if self.built else loss
        return [MetricView(name, direction, self) for name, direction in directions.items()]

    def reset_metrics(self) -> None:
        """Begin the means of the stage that began last anew, with its next batch."""
        if self._accumulator is not None:
            self._accumulator.reset()

    def new_accumulator(self) -> NumpyMetricAccumulator:
        """Make an empty accumulator for one stage."""
        self._accumulator = self._require_compiled().new_accumulator(self.output_shape)
        return self._accumulator

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

    def _build_optimizer(self) -> None:
        optimizer = self._require_optimizer()
        optimizer.build(self.parameters, self.slices)
        optimizer.freeze(self.frozen())

    def _forget_plans(self) -> None:
        """Drop what is bound to the loss and the weights."""
        raise NotImplementedError
