"""The metrics of `onstage.metrics` on tensors, one function for each."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from onstage import losses as core_losses
from onstage import metrics as core
from onstage_torch.pytree import to_array

Partial: TypeAlias = tuple[Tensor, float | Tensor]
"""Contribution of a batch: a scalar sum and its weight, or a whole state and 0."""

Kernel: TypeAlias = Callable[..., Partial]
"""Function of ``(metric, outputs, targets, weights)``; classes are on the last axis."""


def accumulator_dtype(device: torch.device) -> torch.dtype:
    """Return the type of sums: float64 if the device has it, else float32."""
    return torch.float32 if device.type == "mps" else torch.float64


def sums(values: Tensor, weights: Tensor | None) -> Partial:
    """Return the weighted sum of each sample's mean value, and the sum of weights."""
    n = values.shape[0]
    if weights is None:
        if values.ndim == 1 and values.dtype is torch.bool:
            return values.sum(), n
        total = values.sum(dtype=accumulator_dtype(values.device))
        return (total if values.dim() == 1 else total * (n / max(values.numel(), 1))), n
    each = values.reshape(n, -1).to(accumulator_dtype(values.device)).mean(1)
    weights = weights.to(each.dtype)
    return (each * weights).sum(), weights.sum()


def _sums_where(values: Tensor, weights: Tensor | None, kept: Tensor) -> Partial:
    """Return the weighted sum of the values that count, and the sum of their weights."""
    if weights is None:
        return (values * kept).sum(dtype=accumulator_dtype(values.device)), kept.sum()
    weights = _per_value(weights, values) * kept
    return (values * weights).sum(), weights.sum()


def _pair(name: str, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    if outputs.dim() == targets.dim() + 1 and outputs.shape[-1] == 1:
        targets = targets.unsqueeze(-1)
    elif targets.dim() == outputs.dim() + 1 and targets.shape[-1] == 1:
        targets = targets.squeeze(-1)
    if outputs.shape != targets.shape:
        raise ValueError(
            f"{name} needs targets in the shape of the outputs, {tuple(outputs.shape)}, "
            f"got {tuple(targets.shape)}"
        )
    return outputs, targets


def _classes(name: str, outputs: Tensor, targets: Tensor) -> Tensor:
    if targets.dim() == outputs.dim() and targets.shape[-1] == 1:
        targets = targets.squeeze(-1)
    if targets.shape != outputs.shape[:-1]:
        raise ValueError(
            f"{name} needs class numbers of shape {tuple(outputs.shape[:-1])}, "
            f"got {tuple(targets.shape)}; for one-hot targets use the metric without 'sparse'"
        )
    return targets


def _one_hot(name: str, outputs: Tensor, targets: Tensor) -> Tensor:
    if targets.shape != outputs.shape:
        raise ValueError(
            f"{name} needs one-hot targets of shape {tuple(outputs.shape)}, "
            f"got {tuple(targets.shape)}; for class numbers use the metric with 'sparse'"
        )
    return targets.argmax(-1)


def _exact(metric: core.Accuracy, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Partial:
    outputs, targets = _pair(metric.name, outputs, targets)
    return sums(outputs == targets, weights)


def _binary(metric: core.BinaryAccuracy, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Partial:
    outputs, targets = _pair(metric.name, outputs, targets)
    return sums((outputs > metric.threshold) == targets, weights)


def _sparse(
    metric: core.Metric,
    outputs: Tensor,
    targets: Tensor,
    weights: Tensor | None,
    ignored: int | None = None,
) -> Partial:
    if targets.ndim != outputs.ndim - 1:
        targets = _classes(metric.name, outputs, targets)
    hits = outputs.argmax(-1) == targets
    if ignored is None:
        return sums(hits, weights)
    if ignored < 0 and weights is None:  # No output predicts it: such targets are no hits.
        return hits.sum(), (targets != ignored).sum()
    return _sums_where(hits, weights, targets != ignored)


def _categorical(metric: core.Metric, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Partial:
    return sums(outputs.argmax(-1) == _one_hot(metric.name, outputs, targets), weights)


def _among(k: int, outputs: Tensor, classes: Tensor) -> Tensor:
    chosen = outputs.gather(-1, classes.long().unsqueeze(-1))
    better = (outputs > chosen).sum(-1)
    # A NaN is never among the top k, although no value is greater.
    return (better < k) & ~chosen.squeeze(-1).isnan()


def _sparse_top_k(
    metric: core.SparseTopKCategoricalAccuracy,
    outputs: Tensor,
    targets: Tensor,
    weights: Tensor | None,
    ignored: int | None = None,
) -> Partial:
    targets = _classes(metric.name, outputs, targets)
    if ignored is None:
        return sums(_among(metric.k, outputs, targets), weights)
    kept = targets != ignored
    return _sums_where(_among(metric.k, outputs, targets.where(kept, 0)), weights, kept)


def _top_k(
    metric: core.TopKCategoricalAccuracy, outputs: Tensor, targets: Tensor, weights: Tensor | None
) -> Partial:
    return sums(_among(metric.k, outputs, _one_hot(metric.name, outputs, targets)), weights)


def _squared(metric: core.Metric, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Partial:
    outputs, targets = _pair(metric.name, outputs, targets)
    return sums((outputs - targets.to(outputs.dtype)).square(), weights)


def _absolute(metric: core.Metric, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Partial:
    outputs, targets = _pair(metric.name, outputs, targets)
    return sums((outputs - targets.to(outputs.dtype)).abs(), weights)


def _per_value(weights: Tensor | None, values: Tensor) -> Tensor:
    """Return for each value the weight of its sample, in the type of the sums."""
    if weights is None:
        return torch.ones((), dtype=accumulator_dtype(values.device), device=values.device).expand(
            values.shape
        )
    spread = weights.reshape(-1, *[1] * (values.dim() - 1))
    return spread.to(accumulator_dtype(values.device)).expand(values.shape)


def _confusion(metric: Any, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Partial:
    outputs, targets = _pair(metric.name, outputs, targets)
    alarm, actual, weight = _alarms(metric, outputs), targets.bool(), _per_value(weights, outputs)
    if metric.class_id is not None:
        alarm, actual, weight = (each[..., metric.class_id] for each in (alarm, actual, weight))
    cases = (actual & alarm, ~actual & alarm, actual & ~alarm)
    return torch.stack([(case * weight).sum() for case in cases]), 0.0


def _alarms(metric: Any, outputs: Tensor) -> Tensor:
    threshold = 0.5 if metric.thresholds is None else metric.thresholds
    if metric.top_k is None:
        return outputs > threshold
    greatest = outputs.argsort(dim=-1, descending=True, stable=True)[..., : metric.top_k]
    chosen = torch.zeros_like(outputs, dtype=torch.bool).scatter(-1, greatest, True)
    return chosen if metric.thresholds is None else chosen & (outputs > threshold)


def _auc(metric: core.AUC, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Partial:
    outputs, targets = _pair(metric.name, outputs, targets)
    if metric.from_logits:
        outputs = outputs.sigmoid()
    rows, cells = metric.state_shape()
    cell = _cells(metric, outputs.reshape(-1)) + torch.where(targets.reshape(-1).bool(), 0, cells)
    weight = _per_value(weights, outputs).reshape(-1)
    # Not bincount: on a GPU it waits, to read the greatest cell.
    empty = torch.zeros(rows * cells, dtype=weight.dtype, device=weight.device)
    return empty.index_add(0, cell, weight), 0.0


def _cells(metric: core.AUC, outputs: Tensor) -> Tensor:
    if metric.thresholds is None:
        cells = metric.num_thresholds - 1
        place = (outputs * cells).ceil().nan_to_num(nan=1.0).clamp(1, cells)
        return place.long() - 1
    return torch.searchsorted(_constant(tuple(metric.thresholds), outputs.dtype, outputs.device), outputs)


@lru_cache(maxsize=64)
def _constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=device)


def _f1(metric: core.F1Score, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Partial:
    outputs, targets = _pair(metric.name, outputs, targets)
    if metric.threshold is not None:
        alarm = outputs > metric.threshold
    else:
        alarm = (outputs >= outputs.amax(-1, keepdim=True)) & (outputs.abs() > 1e-9)
    weight = _per_value(weights, outputs)
    actual = targets.to(weight.dtype)
    cases = (actual * alarm, (1 - actual) * alarm, actual * ~alarm)
    return torch.stack([(weight * case).sum(0) for case in cases]), 0.0


def _binary_loss(metric: Any, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Partial:
    """Compute the binary cross-entropy of logits."""
    outputs, targets = _pair(metric.name, outputs, targets)
    targets = targets.to(outputs.dtype).lerp(torch.full_like(outputs, 0.5), metric.loss.label_smoothing)
    return sums(F.binary_cross_entropy_with_logits(outputs, targets, reduction="none"), weights)


def _categorical_loss(metric: Any, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Partial:
    """Compute the cross-entropy of logits or log-probabilities with one-hot rows."""
    _one_hot(metric.name, outputs, targets)
    share = metric.loss.label_smoothing
    targets = targets.to(outputs.dtype) * (1 - share) + share / outputs.shape[-1]
    return sums(-(targets * outputs.log_softmax(-1)).sum(-1), weights)


def _sparse_loss(
    metric: core.LossMetric,
    outputs: Tensor,
    targets: Tensor,
    weights: Tensor | None,
    ignored: int | None = None,
) -> Partial:
    """Compute the cross-entropy of logits or log-probabilities with class numbers."""
    targets = _classes(metric.name, outputs, targets).long()
    kept = torch.ones_like(targets, dtype=torch.bool) if ignored is None else targets != ignored
    chosen = outputs.log_softmax(-1).gather(-1, targets.where(kept, 0).unsqueeze(-1)).squeeze(-1)
    return sums(-chosen, weights) if ignored is None else _sums_where(-chosen, weights, kept)


def _on_host(metric: core.Metric, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Partial:
    """Compute with the metric's own numpy code; waits for the device."""
    state = metric.new_state()
    metric.update(state, to_array(targets), to_array(outputs), None if weights is None else to_array(weights))
    total = torch.from_numpy(state).to(outputs.device, accumulator_dtype(outputs.device))
    return (total[0], total[1]) if isinstance(metric, core.MeanMetric) else (total, 0.0)


_KERNELS: dict[type[core.Metric], tuple[Kernel, bool]] = {
    core.Accuracy: (_exact, False),
    core.BinaryAccuracy: (_binary, True),
    core.SparseCategoricalAccuracy: (_sparse, False),
    core.CategoricalAccuracy: (_categorical, False),
    core.SparseTopKCategoricalAccuracy: (_sparse_top_k, False),
    core.TopKCategoricalAccuracy: (_top_k, False),
    core.MeanSquaredError: (_squared, False),
    core.RootMeanSquaredError: (_squared, False),
    core.MeanAbsoluteError: (_absolute, False),
    core.Precision: (_confusion, True),
    core.Recall: (_confusion, True),
    core.AUC: (_auc, True),
    core.F1Score: (_f1, True),
}


OF_CLASS_NUMBERS = (_sparse, _sparse_top_k, _sparse_loss)
"""Kernels that can leave out targets which the loss ignores."""

_OF_LOGITS: dict[tuple[type[core_losses.Loss], str], Kernel] = {
    (core_losses.BinaryCrossentropy, "sigmoid"): _binary_loss,
    (core_losses.CategoricalCrossentropy, "softmax"): _categorical_loss,
    (core_losses.CategoricalCrossentropy, "exp"): _categorical_loss,
    (core_losses.SparseCategoricalCrossentropy, "softmax"): _sparse_loss,
    (core_losses.SparseCategoricalCrossentropy, "exp"): _sparse_loss,
}


def kernel_for(metric: core.Metric, scale: str | None = None) -> tuple[Kernel, bool]:
    """Return the kernel of a metric, and whether it needs probabilities.

    If the loss takes logits, a cross-entropy is computed on the logits too,
    not on clipped probabilities. A metric of a user's own class runs its numpy
    code.

    Parameters
    ----------
    scale
        Function that turns the outputs into probabilities; None if they are.
    """
    if isinstance(metric, core.LossMetric):
        kernel = _OF_LOGITS.get((type(metric.loss), scale or ""), _on_host)
        return kernel, kernel is _on_host and not getattr(metric.loss, "from_logits", False)
    kernel, of_probabilities = _KERNELS.get(type(metric), (_on_host, True))
    return kernel, of_probabilities and not getattr(metric, "from_logits", False)
