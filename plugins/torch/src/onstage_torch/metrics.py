"""onstage's metrics, added up on the device.

What a name means, what a metric's state holds and what comes of it is told by
`onstage.metrics`; here a batch of tensors is added to such a state without
waiting for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from onstage import metrics as core
from onstage.model import Array, Direction
from onstage_torch import rules
from onstage_torch.losses import Loss
from onstage_torch.trees import sample_count

Metrics: TypeAlias = object
"""A metric, or a list of them, or a dict of name to metric."""

_PROBABILITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "softmax": lambda outputs: outputs.softmax(-1),
    "exp": torch.exp,
}


_COUNTING = ("accuracy", "acc", "sparse_categorical_accuracy", "categorical_accuracy", "binary_accuracy")


class Measure:
    """One metric of a model.

    Parameters
    ----------
    given
        A name; an `onstage.metrics.Metric`; or a function of ``(outputs,
        targets)`` that gives one value for each sample, or their mean.
    loss
        Tells how outputs become probabilities, and where their classes are.
    weighted
        Whether sample weights count.
    name
        What it is called in the logs; None for its own name.

    Attributes
    ----------
    name, direction
        As `onstage.model.Model.metric_directions` gives them.
    weighted
        As given.
    """

    def __init__(self, given: Any, loss: Loss | None, *, weighted: bool, name: str | None = None) -> None:
        self._given = given
        self.weighted = weighted
        self._scale = loss.scale if loss is not None else None
        self._classes_first = loss is not None and loss.classes_first
        self._metric: core.Metric | None = None
        self._rule: Callable[[Tensor, Tensor, Tensor | None], rules.Addend] | None = None
        self._probabilities: Callable[[Tensor], Tensor] | None = None
        self._is_function = callable(given) and not isinstance(given, core.Metric | type)
        self.direction: Direction | None = None
        if isinstance(given, str) and given.lower() in ("accuracy", "acc"):
            self.name, self.direction = given, "max"
        elif self._is_function:
            self.name = getattr(given, "__name__", None) or type(given).__name__
        else:
            self._metric = core.get(given)
            self.name, self.direction = self._metric.name, self._metric.direction
        self.name = self.name if name is None else name

    def measure(self, outputs: Any, targets: Any, weights: Tensor | None) -> rules.Addend:
        """Give what a batch adds to the totals; weights only where they count."""
        if self._is_function:
            return self._of_function(outputs, targets, weights)
        if not isinstance(outputs, Tensor) or not isinstance(targets, Tensor):
            raise TypeError(
                f"metric {self.name!r} needs one tensor of outputs and one of targets, "
                f"got {type(outputs).__name__} and {type(targets).__name__}; give a function of both instead"
            )
        if self._classes_first and outputs.dim() > 2:
            targets = targets.movedim(1, -1) if targets.dim() == outputs.dim() else targets
            outputs = outputs.movedim(1, -1)
        if self._rule is None:
            self._rule = self._built(outputs, targets)
        if self._probabilities is not None:
            outputs = self._probabilities(outputs)
        elif outputs.dim() == 2:
            self.measure = self._rule  # type: ignore[assignment, method-assign]  # no more to look at
        return self._rule(outputs, targets, weights)

    def _built(self, outputs: Tensor, targets: Tensor) -> Callable[..., rules.Addend]:
        given = self._given if self._metric is None else self._metric
        self._metric = core.get(given, output_shape=outputs.shape, target_shape=targets.shape)
        rule, of_probabilities = rules.rule_of(self._metric)
        if of_probabilities and self._scale is not None:
            self._probabilities = _PROBABILITIES[self._scale]
        return partial(rule, self._metric)

    @property
    def differentiable(self) -> bool:
        """Whether it would drag the graph of the outputs along."""
        return not (isinstance(self._given, str) and self._given.lower() in _COUNTING)

    def _of_function(self, outputs: Any, targets: Any, weights: Tensor | None) -> rules.Addend:
        values = self._given(outputs, targets)
        if not isinstance(values, Tensor):
            values = torch.as_tensor(values, dtype=torch.get_default_dtype())
        n = sample_count(outputs)
        if values.dim() == 0 and weights is None:
            return values * n, n
        if values.dim() == 0 or len(values) != n:
            raise ValueError(
                f"metric {self.name!r} must give one value for each of the {n} samples, or their mean where "
                f"there are no weights, got shape {tuple(values.shape)}"
            )
        return rules.sums(values, weights)

    def result(self, total: float | Array, weight: float) -> float:
        """Give the metric of what was added up: see `rules.Addend`."""
        if self._metric is None:
            return float(total) / weight if weight else 0.0
        if isinstance(self._metric, core.MeanMetric):
            return self._metric.aggregate(np.array([total, weight], np.float64))
        return self._metric.aggregate(np.reshape(total, self._metric.state_shape()))


def measures(metrics: Metrics, weighted_metrics: Metrics, loss: Loss | None) -> list[Measure]:
    """Make a model's metrics.

    Raises
    ------
    ValueError, TypeError
        A name is unknown or taken twice, or it is no metric.
    """
    made = [
        Measure(each, loss, weighted=weighted, name=name)
        for given, weighted in ((metrics, False), (weighted_metrics, True))
        for name, each in _named(given)
    ]
    seen = {"loss"}
    for each in made:
        if each.name in seen:
            raise ValueError(
                f"metrics must have names of their own, got {each.name!r} twice; "
                "give them as a dict of name to metric"
            )
        seen.add(each.name)
    return made


def _named(given: Metrics) -> list[tuple[str | None, Any]]:
    if given is None:
        return []
    if isinstance(given, Mapping) and not {"class_name", "config"} >= set(given):
        return list(given.items())
    several = given if isinstance(given, list | tuple) else [given]
    return [(None, each) for each in several]
