"""Metrics by name: the argument of TorchModel, and the same by hand over a whole epoch."""

from typing import Any

import torch
import torchmetrics.classification as tm
from torch_losses import CLASSES, LossCase


def spread(outputs, targets):
    return outputs.std()


def weighted_spread(outputs, targets):
    return outputs.reshape(len(outputs), -1).std(1)


def given(name: str, case: LossCase) -> Any:
    """Return a metric as a user passes it."""
    match name:
        case "spread":
            return spread
        case "weighted spread":
            return weighted_spread
        case "f1":
            return tm.MulticlassF1Score(CLASSES, ignore_index=case.ignore_index)
        case "auroc":
            return tm.MulticlassAUROC(CLASSES, ignore_index=case.ignore_index)
        case "counted accuracy":
            return tm.MulticlassAccuracy(CLASSES, average="micro", ignore_index=case.ignore_index)
    return name


class ByHand:
    """One metric of one epoch, as a loop accumulates it."""

    def __init__(self, name: str, case: LossCase, weighted: bool) -> None:
        self.name, self._case, self._weighted = name, case, weighted
        self._object = given(name, case)
        self._total = self._count = 0.0

    def add(self, outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> None:
        """Count a batch."""
        if isinstance(self._object, torch.nn.Module):
            self._object.update(outputs, targets)
            return
        values, counted = self._values(outputs, targets)
        if not self._weighted or weights is None:
            weights = torch.ones(len(outputs))
        counted = counted * weights.reshape(-1, *[1] * (counted.dim() - 1))
        self._total += (values * counted).sum().item()
        self._count += counted.sum().item()

    def _values(self, outputs, targets):
        """Return values and their weights."""
        if self.name == "spread":
            return spread(outputs, targets), torch.ones(len(outputs), dtype=torch.float64)
        if self.name == "weighted spread":
            return weighted_spread(outputs, targets), torch.ones(len(outputs), dtype=torch.float64)
        if self.name == "binary_accuracy":
            hits = (outputs.sigmoid() > 0.5) == targets.bool()
            return hits, torch.ones(hits.shape, dtype=torch.float64)
        ignored = self._case.ignore_index
        counted = torch.ones_like(targets) if ignored is None else targets != ignored
        return outputs.argmax(1) == targets, counted.double()

    def result(self) -> float:
        """Return the metric of the batches that were added."""
        if isinstance(self._object, torch.nn.Module):
            return self._object.compute().item()
        return self._total / self._count if self._count else 0.0
