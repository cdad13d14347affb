"""The metrics of a model, computed on the device.

`onstage.metrics` defines the names, the states and the results; here a batch
of tensors is reduced to its contribution without waiting for the device.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from onstage import metrics as core
from onstage.metric_names import OwnName, log_names
from onstage.model import Array, Direction
from onstage_torch.losses import Loss
from onstage_torch.metrics import kernels
from onstage_torch.metrics.objects import MetricObject, is_metric_object
from onstage_torch.pytree import sample_count

Metrics: TypeAlias = object
"""A metric, or a list of them, or a dict of name to metric."""

_PROBABILITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "softmax": lambda outputs: outputs.softmax(-1),
    "exp": torch.exp,
}


_COUNTING = ("accuracy", "acc", "sparse_categorical_accuracy", "categorical_accuracy", "binary_accuracy")


class MetricAdapter(ABC):
    """One metric of a model: turns batches into sums, and sums into a number.

    Attributes
    ----------
    name, direction
        As `onstage.model.Model.metric_directions` returns them.
    weighted
        Whether sample weights apply.
    """

    name: str
    direction: Direction | None = None
    differentiable = True
    """Whether it would keep the autograd graph of the outputs alive."""

    def __init__(self, given: Any, *, weighted: bool) -> None:
        self._given = given
        self.weighted = weighted

    @abstractmethod
    def measure(self, outputs: Any, targets: Any, weights: Tensor | None) -> kernels.Partial:
        """Return the contribution of a batch; `weights` is None if they don't apply."""

    @abstractmethod
    def result(self, total: float | Array, weight: float) -> float:
        """Return the metric of the sum of contributions, see `kernels.Partial`."""


class KernelMetric(MetricAdapter):
    """A metric of `onstage.metrics`, by name or instance.

    Parameters
    ----------
    given
        A name or an `onstage.metrics.Metric`.
    loss
        Determines how outputs become probabilities, the axis of classes, and
        the ignored class.
    """

    def __init__(self, given: Any, loss: Loss | None, *, weighted: bool) -> None:
        super().__init__(given, weighted=weighted)
        self._loss = loss
        self._classes_first = loss is not None and loss.classes_first
        self._kernel: Callable[[Tensor, Tensor, Tensor | None], kernels.Partial] | None = None
        self._direct: Callable[[Tensor, Tensor, Tensor | None], kernels.Partial] | None = None
        self._probabilities: Callable[[Tensor], Tensor] | None = None
        self._metric: core.Metric | None = None
        if isinstance(given, str) and given.lower() in core.BY_SHAPE:
            self.name = given
            self.direction = "max" if given.lower() in ("accuracy", "acc") else "min"
        else:
            self._metric = core.get(given)
            self.name, self.direction = self._metric.name, self._metric.direction
        self.differentiable = not (isinstance(given, str) and given.lower() in _COUNTING)

    def measure(self, outputs: Any, targets: Any, weights: Tensor | None) -> kernels.Partial:
        """Return the contribution of a batch; `weights` is None if they don't apply."""
        if self._direct is not None:
            return self._direct(outputs, targets, weights)
        if not isinstance(outputs, Tensor) or not isinstance(targets, Tensor):
            raise TypeError(
                f"metric {self.name!r} needs one tensor of outputs and one of targets, "
                f"got {type(outputs).__name__} and {type(targets).__name__}; pass a function of both instead"
            )
        if self._classes_first and outputs.dim() > 2:
            targets = targets.movedim(1, -1) if targets.dim() == outputs.dim() else targets
            outputs = outputs.movedim(1, -1)
        if self._kernel is None:
            self._kernel = self._bind(outputs, targets)
        if self._probabilities is not None:
            outputs = self._probabilities(outputs)
        elif outputs.dim() == 2:
            self._direct = self._kernel  # 1 % of a small step: no further batch is checked.
        return self._kernel(outputs, targets, weights)

    def _bind(self, outputs: Tensor, targets: Tensor) -> Callable[..., kernels.Partial]:
        given = self._given if self._metric is None else self._metric
        self._metric = core.get(given, output_shape=outputs.shape, target_shape=targets.shape)
        scale = None if self._loss is None else self._loss.scale
        ignored = None if self._loss is None else self._loss.ignored_class
        kernel, of_probabilities = kernels.kernel_for(self._metric, scale)
        if of_probabilities and scale is not None:
            self._probabilities = _PROBABILITIES[scale]
        if ignored is not None and kernel in kernels.OF_CLASS_NUMBERS:
            return partial(kernel, self._metric, ignored=ignored)
        return partial(kernel, self._metric)

    def result(self, total: float | Array, weight: float) -> float:
        """Return the metric of the sum of contributions, see `kernels.Partial`."""
        if self._metric is None:
            return float(total) / weight if weight else 0.0
        if isinstance(self._metric, core.MeanMetric):
            return self._metric.aggregate(np.array([total, weight], np.float64))
        return self._metric.aggregate(np.reshape(total, self._metric.state_shape()))


class FunctionMetric(MetricAdapter):
    """A function of ``(outputs, targets)``: one value for each sample, or their mean."""

    def __init__(self, given: Any, *, weighted: bool) -> None:
        super().__init__(given, weighted=weighted)
        self.name = getattr(given, "__name__", None) or type(given).__name__

    def measure(self, outputs: Any, targets: Any, weights: Tensor | None) -> kernels.Partial:
        """Return the contribution of a batch; `weights` is None if they don't apply."""
        values = self._given(outputs, targets)
        if not isinstance(values, Tensor):
            values = torch.as_tensor(values, dtype=torch.get_default_dtype())
        values = values.detach()  # Outputs of a type of their own keep their graph.
        n = sample_count(outputs if targets is None else targets)
        if values.dim() == 0 and weights is None:
            return values.to(kernels.accumulator_dtype(values.device)) * n, n
        if values.dim() == 0 or len(values) != n:
            raise ValueError(
                f"metric {self.name!r} must return one value for each of the {n} samples, or their mean if "
                f"there are no weights, got shape {tuple(values.shape)}"
            )
        return kernels.sums(values, weights)

    def result(self, total: float | Array, weight: float) -> float:
        """Return the mean over the samples."""
        return float(total) / weight if weight else 0.0


class ObjectMetric(MetricAdapter):
    """A metric that keeps its own sums: see `objects`."""

    def __init__(self, given: Any, *, weighted: bool) -> None:
        super().__init__(given, weighted=weighted)
        self.name = type(given).__name__
        if weighted:
            raise TypeError(f"weighted_metrics must take sample weights, got {self.name}; pass it in metrics")
        higher = getattr(given, "higher_is_better", None)
        self.direction = None if higher is None else "max" if higher else "min"

    def new_object(self, device: torch.device, world: int) -> MetricObject:
        """Return a copy for one stage."""
        return MetricObject(self.name, self._given, device, world)

    def measure(self, outputs: Any, targets: Any, weights: Tensor | None) -> kernels.Partial:
        """Not used: its `MetricObject` accumulates."""
        raise NotImplementedError

    def result(self, total: float | Array, weight: float) -> float:
        """Not used: its `MetricObject` computes."""
        raise NotImplementedError


def _make_metric(given: Any, loss: Loss | None, weighted: bool) -> MetricAdapter:
    if is_metric_object(given) and not isinstance(given, core.Metric):
        return ObjectMetric(given, weighted=weighted)
    if callable(given) and not isinstance(given, core.Metric | type):
        return FunctionMetric(given, weighted=weighted)
    return KernelMetric(given, loss, weighted=weighted)


def make_metrics(metrics: Metrics, weighted_metrics: Metrics, loss: Loss | None) -> list[MetricAdapter]:
    """Return a model's metrics, with their names in the logs.

    Raises
    ------
    ValueError, TypeError
        If a name is unknown, or a value is not a metric.
    """
    made: list[MetricAdapter] = []
    names: list[OwnName] = []
    for given, weighted in ((metrics, False), (weighted_metrics, True)):
        for name, each in _named(given):
            made.append(_make_metric(each, loss, weighted))
            automatic = name is None and isinstance(each, core.Metric) and each.numbered
            names.append(OwnName(name or made[-1].name, automatic, weighted))
    for metric, name in zip(made, log_names(names), strict=True):
        metric.name = name
    return made


def _named(given: Metrics) -> list[tuple[str | None, Any]]:
    if given is None:
        return []
    is_collection = is_metric_object(given) and hasattr(given, "items")  # of torchmetrics
    if is_collection or (isinstance(given, Mapping) and "class_name" not in given):
        return list(given.items())  # type: ignore[attr-defined]  # both have items()
    several = given if isinstance(given, list | tuple) else [given]
    return [(None, each) for each in several]
