"""MeasuredModel: the metrics of a model, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import ref

from onstage.model import Direction
from onstage_torch.distributed import ProcessGroup
from onstage_torch.losses import Loss
from onstage_torch.metrics.accumulator import TorchMetricAccumulator
from onstage_torch.metrics.metric import MetricAdapter
from onstage_torch.train_step import TrainStep


class MeasuredModel:
    """The part of `TorchModel` that accumulates loss and metrics."""

    rank: int
    world: int
    _loss: Loss | None
    _metrics: list[MetricAdapter]
    _group: ProcessGroup
    _train: TrainStep
    _accumulators: tuple[ref[TorchMetricAccumulator], ...] = ()

    @property
    def loss(self) -> Any:
        """The loss as it was passed; None without."""
        return None if self._loss is None else self._loss.given

    @property
    def metrics(self) -> list[MetricView]:
        """The loss and the metrics, with their values in the stage that runs."""
        return [MetricView(name, direction, self) for name, direction in self.metric_directions().items()]

    @property
    def metrics_names(self) -> list[str]:
        """Names in the logs, loss first."""
        return list(self.metric_directions())

    def metric_directions(self) -> Mapping[str, Direction | None]:
        """Return the metrics in log order, with the direction that is better."""
        return {"loss": "min", **{each.name: each.direction for each in self._metrics}}

    def new_accumulator(self) -> TorchMetricAccumulator:
        """Return an empty accumulator for one stage."""
        made = TorchMetricAccumulator(
            self._metrics, self._group.device, self._train.finish_stage, self.rank, self.world
        )
        self._accumulators = (*(each for each in self._accumulators if each() is not None), ref(made))
        return made

    @property
    def accumulator(self) -> TorchMetricAccumulator | None:
        """Accumulator of the innermost stage that runs; None outside."""
        alive = [each for each in (known() for known in self._accumulators) if each is not None]
        return alive[-1] if alive else None

    def reset_metrics(self) -> None:
        """Empty the metrics of the stage that runs: its means begin anew."""
        if self.accumulator is not None:
            self.accumulator.reset()


class MetricView:
    """The loss or a metric of a model, as callbacks read it.

    Parameters
    ----------
    name
        Name in the logs.
    direction
        Whether lower or higher is better; None if unknown.
    model
        The model.
    """

    def __init__(self, name: str, direction: Direction | None, model: MeasuredModel) -> None:
        self.name = name
        self.direction = direction
        self._model = model

    def result(self) -> float:
        """Return the value since the stage began; 0 before its first batch. Waits for the device."""
        accumulator = self._model.accumulator
        return 0.0 if accumulator is None else float(accumulator.logs().get(self.name, 0.0))

    def __repr__(self) -> str:
        return f"<MetricView name={self.name!r}>"
