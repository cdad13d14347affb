"""CompiledLoss: the arguments of compile(), bound to output and target shapes."""

from __future__ import annotations

from collections.abc import Sequence
from types import FunctionType

from onstage.metric_names import OwnName, log_names
from onstage.model import Direction
from onstage.nn import losses, metrics
from onstage.nn.execution.metric_accumulator import NamedMetric, NumpyMetricAccumulator
from onstage.nn.layers.base import Shape


class CompiledLoss:
    """The loss and the metrics of a compiled model.

    Parameters
    ----------
    loss, metrics, weighted_metrics
        Arguments of ``compile``. Metrics are resolved by `build`: the meaning
        of "accuracy" depends on the shapes.
    """

    def __init__(
        self, loss: object, metrics: Sequence[object] | None, weighted_metrics: Sequence[object] | None
    ) -> None:
        self.loss = losses.get(loss)
        self.given_metrics = _validate_metrics("metrics", metrics)
        self.given_weighted_metrics = _validate_metrics("weighted_metrics", weighted_metrics)
        self.metrics: list[NamedMetric] | None = None

    def build(self, output_shape: Shape, target_shape: Shape | None = None) -> list[NamedMetric]:
        """Return the metrics, which the first call makes.

        Parameters
        ----------
        target_shape
            None for the shape that the loss expects.
        """
        if self.metrics is None:
            if target_shape is None:
                target_shape = output_shape[:-1] if self.loss.sparse else output_shape
            given = [(each, False) for each in self.given_metrics]
            given += [(each, True) for each in self.given_weighted_metrics]
            made = [
                metrics.get(each, output_shape=output_shape, target_shape=target_shape) for each, _ in given
            ]
            names = log_names(
                OwnName(metric.name, metric.numbered and not isinstance(identifier, str), weighted)
                for metric, (identifier, weighted) in zip(made, given, strict=True)
            )
            self.metrics = [
                NamedMetric(name, metric, weighted)
                for name, metric, (_, weighted) in zip(names, made, given, strict=True)
            ]
        return self.metrics

    def new_accumulator(self, output_shape: Shape) -> NumpyMetricAccumulator:
        """Make an empty accumulator for one stage."""
        return NumpyMetricAccumulator(self.build(output_shape))

    def directions(self, output_shape: Shape) -> dict[str, Direction | None]:
        """Map loss and metric names, in log order, to their direction of improvement."""
        directions: dict[str, Direction | None] = {"loss": "min"}
        directions |= {each.name: each.metric.direction for each in self.build(output_shape)}
        return directions


def _validate_metrics(name: str, given: Sequence[object] | None) -> list[object]:
    if given is None:
        return []
    if not isinstance(given, (list, tuple)):
        raise TypeError(f"{name} must be a list, such as ['accuracy'], got {given!r}")
    return [_validate_metric(each) for each in given]


def _validate_metric(given: object) -> object:
    if isinstance(given, str) and given.lower() in metrics.BY_SHAPE:
        return given
    metric = metrics.get(given)  # raises at once if the name is unknown
    # A function of `losses` is saved as the metric it stands for.
    return metric if isinstance(metric, metrics.LossMetric) and isinstance(given, FunctionType) else given
