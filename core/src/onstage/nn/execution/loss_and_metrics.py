"""CompiledLoss: what compile() was given, tied to the shapes of outputs and targets."""

from __future__ import annotations

from collections.abc import Sequence

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
        As given to ``compile``. Metrics take their form when `build` tells the
        shapes: until then "accuracy" may mean three things.
    """

    def __init__(
        self, loss: object, metrics: Sequence[object] | None, weighted_metrics: Sequence[object] | None
    ) -> None:
        self.loss = losses.get(loss)
        self.given_metrics = _checked("metrics", metrics)
        self.given_weighted_metrics = _checked("weighted_metrics", weighted_metrics)
        self.metrics: list[NamedMetric] | None = None

    def build(self, output_shape: Shape, target_shape: Shape | None = None) -> list[NamedMetric]:
        """Give the metrics; made at the first call.

        Parameters
        ----------
        target_shape
            None: what the loss expects.
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
        """Make empty sums for one stage."""
        return NumpyMetricAccumulator(self.build(output_shape))

    def directions(self, output_shape: Shape) -> dict[str, Direction | None]:
        """Name loss and metrics in log order, and whether down or up is better."""
        directions: dict[str, Direction | None] = {"loss": "min"}
        directions |= {each.name: each.metric.direction for each in self.build(output_shape)}
        return directions


def _checked(name: str, given: Sequence[object] | None) -> list[object]:
    if given is None:
        return []
    if not isinstance(given, (list, tuple)):
        raise TypeError(f"{name} must be a list, such as ['accuracy'], got {given!r}")
    for each in given:
        if isinstance(each, str) and each.lower() in metrics.BY_SHAPE:
            continue
        metrics.get(each)  # a name that doesn't exist is refused at once
    return list(given)
