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
    def metrics(self) -> list[MetricAdapter]:
        """The metrics besides the loss; each has the ``name`` that it has in the logs."""
        return list(self._metrics)

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

    def reset_metrics(self) -> None:
        """Empty the metrics of the stage that is running: its means begin anew."""
        alive = [each for each in (known() for known in self._accumulators) if each is not None]
        if alive:
            alive[-1].reset()
