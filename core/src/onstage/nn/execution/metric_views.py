"""MetricView: a metric of a model, as callbacks read it."""

from __future__ import annotations

from typing import Protocol

from onstage.model import Direction
from onstage.nn.execution.metric_accumulator import NumpyMetricAccumulator


class HasAccumulator(Protocol):
    """A model with the metrics of the stage that began last."""

    _accumulator: NumpyMetricAccumulator | None


class MetricView:
    """The loss or a metric of a model, with its value in the stage that began last.

    Parameters
    ----------
    name
        Name in the logs.
    direction
        Whether lower or higher is better; None if unknown.
    model
        The model.
    """

    def __init__(self, name: str, direction: Direction | None, model: HasAccumulator) -> None:
        self.name = name
        self.direction = direction
        self._model = model

    def result(self) -> float:
        """Return the value since the stage began; 0 before the first one."""
        accumulator = self._model._accumulator
        return 0.0 if accumulator is None else float(accumulator.logs().get(self.name, 0.0))

    def reset_state(self) -> None:
        """Begin the value anew, with the next batch."""
        if self._model._accumulator is not None:
            self._model._accumulator.reset(self.name)

    def __repr__(self) -> str:
        return f"<MetricView name={self.name!r}>"
