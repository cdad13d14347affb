"""Losses by name: torch's own, and Keras's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from onstage.errors import did_you_mean
from onstage_torch.losses.reduction import base_of

LossFunction: TypeAlias = Callable[[Any, Any], Any]
"""``(outputs, targets)`` to a scalar, or to one value for each sample."""

Scale: TypeAlias = Literal["sigmoid", "softmax", "exp"]
"""Function that turns the outputs that a loss takes into probabilities."""

EPSILON = 1e-7
"""Keras's epsilon: least distance of probabilities from 0 and 1 before their logarithm."""


def _match(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return targets in the shape and type of the outputs, without broadcasting."""
    if targets.dim() + 1 == outputs.dim() and outputs.shape[-1] == 1:
        targets = targets.unsqueeze(-1)
    elif targets.dim() == outputs.dim() + 1 and targets.shape[-1] == 1:
        targets = targets.squeeze(-1)
    if targets.shape != outputs.shape:
        raise ValueError(
            f"y must have the shape of the outputs, {tuple(outputs.shape)}, got {tuple(targets.shape)}"
        )
    return targets.to(outputs.dtype)


def _clip(outputs: Tensor) -> Tensor:
    return outputs.clamp(EPSILON, 1 - EPSILON)


def _mean_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.mse_loss(outputs, _match(outputs, targets), reduction="none")


def _mean_absolute_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.l1_loss(outputs, _match(outputs, targets), reduction="none")


def _huber(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.huber_loss(outputs, _match(outputs, targets), reduction="none")


def _hinge(outputs: Tensor, targets: Tensor) -> Tensor:
    targets = _match(outputs, targets)
    # As in Keras: if y holds only 0 and 1, 0 means -1. Decided on the device.
    zero_one = ((targets == 0) | (targets == 1)).all()
    signs = torch.where(zero_one, 2 * targets - 1, targets)
    return (1 - signs * outputs).clamp_min(0)


def _binary_crossentropy(outputs: Tensor, targets: Tensor) -> Tensor:
    targets, p = _match(outputs, targets), _clip(outputs)
    return -(targets * p.log() + (1 - targets) * torch.log1p(-p))


def _categorical_crossentropy(outputs: Tensor, targets: Tensor) -> Tensor:
    targets = _match(outputs, targets)
    return -(targets * _clip(outputs / outputs.sum(-1, keepdim=True)).log()).sum(-1)


def sparse_categorical_crossentropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return ``-log(p)`` of the true class; `targets` are class numbers."""
    if targets.dim() == outputs.dim() and targets.shape[-1] == 1:
        targets = targets.squeeze(-1)
    if targets.shape != outputs.shape[:-1]:
        raise ValueError(
            f"y must hold class numbers of shape {tuple(outputs.shape[:-1])}, got {tuple(targets.shape)}; "
            "for one-hot rows use 'categorical_crossentropy'"
        )
    # Divided by their sum, as in Keras: outputs need not add up to 1 to the last digit.
    p = _clip(outputs / outputs.sum(-1, keepdim=True))
    return -p.gather(-1, targets.long().unsqueeze(-1)).squeeze(-1).log()


_KERAS: dict[str, LossFunction] = {
    "mean_squared_error": _mean_squared_error,
    "mse": _mean_squared_error,
    "mean_absolute_error": _mean_absolute_error,
    "mae": _mean_absolute_error,
    "huber": _huber,
    "hinge": _hinge,
    "binary_crossentropy": _binary_crossentropy,
    "categorical_crossentropy": _categorical_crossentropy,
    "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
}
OF_PROBABILITIES = (_binary_crossentropy, _categorical_crossentropy, sparse_categorical_crossentropy)

_TORCH: dict[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        *(F.binary_cross_entropy, F.binary_cross_entropy_with_logits, F.cross_entropy, F.nll_loss),
        *(F.huber_loss, F.l1_loss, F.mse_loss, F.smooth_l1_loss),
    )
}
_SCALES: dict[Any, Scale] = {
    F.binary_cross_entropy_with_logits: "sigmoid",
    nn.BCEWithLogitsLoss: "sigmoid",
    F.multilabel_soft_margin_loss: "sigmoid",
    nn.MultiLabelSoftMarginLoss: "sigmoid",
    F.cross_entropy: "softmax",
    nn.CrossEntropyLoss: "softmax",
    F.nll_loss: "exp",
    nn.NLLLoss: "exp",
}


def scale_of(function: Any) -> Scale | None:
    """Return the function that turns the outputs that a loss takes into probabilities."""
    base = base_of(function)
    kinds = base.__mro__ if isinstance(base, type) else (base,)
    return next((_SCALES[kind] for kind in kinds if kind in _SCALES), None)


def look_up(name: str) -> LossFunction:
    """Return the loss of a name; raise ValueError, with the closest, if there is none."""
    table = _KERAS | _TORCH
    if name not in table:
        raise ValueError(f"loss must be one of {', '.join(table)}, got {name!r}{did_you_mean(name, table)}")
    return table[name]
