"""Losses: torch's own, by object or name, and Keras's by name."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from onstage.errors import did_you_mean

LossFunction: TypeAlias = Callable[[Any, Any], Any]
"""``(outputs, targets)`` to a scalar, or to one value for each sample."""

Scale: TypeAlias = Literal["sigmoid", "softmax", "exp"]
"""What turns the outputs that a loss takes into probabilities."""

EPSILON = 1e-7
"""Keras's: probabilities are kept this far from 0 and 1 before their logarithm."""


def _like(outputs: Tensor, targets: Tensor) -> Tensor:
    """Give targets in the shape and type of the outputs, never broadcast."""
    if targets.dim() + 1 == outputs.dim() and outputs.shape[-1] == 1:
        targets = targets.unsqueeze(-1)
    elif targets.dim() == outputs.dim() + 1 and targets.shape[-1] == 1:
        targets = targets.squeeze(-1)
    if targets.shape != outputs.shape:
        raise ValueError(
            f"y must have the shape of the outputs, {tuple(outputs.shape)}, got {tuple(targets.shape)}"
        )
    return targets.to(outputs.dtype)


def _clipped(outputs: Tensor) -> Tensor:
    return outputs.clamp(EPSILON, 1 - EPSILON)


def _mean_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.mse_loss(outputs, _like(outputs, targets), reduction="none")


def _mean_absolute_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.l1_loss(outputs, _like(outputs, targets), reduction="none")


def _huber(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.huber_loss(outputs, _like(outputs, targets), reduction="none")


def _hinge(outputs: Tensor, targets: Tensor) -> Tensor:
    targets = _like(outputs, targets)
    # As in Keras: where y holds nothing but 0 and 1, 0 means -1. Decided on the device.
    zero_one = ((targets == 0) | (targets == 1)).all()
    signs = torch.where(zero_one, 2 * targets - 1, targets)
    return (1 - signs * outputs).clamp_min(0)


def _binary_crossentropy(outputs: Tensor, targets: Tensor) -> Tensor:
    targets, p = _like(outputs, targets), _clipped(outputs)
    return -(targets * p.log() + (1 - targets) * torch.log1p(-p))


def _categorical_crossentropy(outputs: Tensor, targets: Tensor) -> Tensor:
    targets = _like(outputs, targets)
    return -(targets * _clipped(outputs / outputs.sum(-1, keepdim=True)).log()).sum(-1)


def _sparse_categorical_crossentropy(outputs: Tensor, targets: Tensor) -> Tensor:
    if targets.dim() == outputs.dim() and targets.shape[-1] == 1:
        targets = targets.squeeze(-1)
    if targets.shape != outputs.shape[:-1]:
        raise ValueError(
            f"y must hold class numbers of shape {tuple(outputs.shape[:-1])}, got {tuple(targets.shape)}; "
            "for one-hot rows take 'categorical_crossentropy'"
        )
    # Divided by their sum as in Keras: outputs need not add up to 1 to the digit.
    p = _clipped(outputs / outputs.sum(-1, keepdim=True))
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
    "sparse_categorical_crossentropy": _sparse_categorical_crossentropy,
}
_OF_PROBABILITIES = (_binary_crossentropy, _categorical_crossentropy, _sparse_categorical_crossentropy)

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
    F.cross_entropy: "softmax",
    nn.CrossEntropyLoss: "softmax",
    F.nll_loss: "exp",
    nn.NLLLoss: "exp",
}


class Loss:
    """What training makes small: a mean over samples, weighted where asked.

    Parameters
    ----------
    given
        A torch loss (module or function), any function of ``(outputs,
        targets)`` that gives a scalar or one value for each sample, or a name:
        those of ``torch.nn.functional`` (``"cross_entropy"``), or Keras's
        (``"sparse_categorical_crossentropy"``), which take probabilities.

    Attributes
    ----------
    scale
        What makes probabilities of the outputs; None where they are, or
        where that is not known.
    classes_first
        Whether the classes are axis 1, as in torch, rather than the last.

    Raises
    ------
    ValueError, TypeError
        The name is unknown, or it is nothing that can be called.
    """

    def __init__(self, given: object) -> None:
        function = _look_up(given) if isinstance(given, str) else given
        if not callable(function) or isinstance(function, type):
            raise TypeError(
                f"loss must be a torch loss, a function of (outputs, targets) or a name, got {given!r}"
            )
        self._function: Callable[..., Any] = function
        kind = type(self._function) if isinstance(self._function, nn.Module) else self._function
        self.scale: Scale | None = _SCALES.get(kind)
        self.classes_first = self.scale in ("softmax", "exp")
        self._each = _unreduced(self._function)
        self._needs_targets = isinstance(given, str) or self._each is not self._function
        self._of_probabilities = self._function in _OF_PROBABILITIES

    def to(self, device: torch.device) -> None:
        """Move a loss that has tensors of its own, such as class weights."""
        for part in (self._function, self._each):
            if isinstance(part, nn.Module):
                part.to(device)

    def __call__(self, outputs: Any, targets: Any, weights: Tensor | None = None) -> Tensor:
        """Give ``sum(weights * loss) / n``, a scalar on the device.

        Raises
        ------
        ValueError
            There are weights, and the loss gives one number for all samples.
        """
        value = self._function(outputs, targets) if weights is None else self._each(outputs, targets)
        if not isinstance(value, Tensor):
            raise TypeError(f"loss must give a tensor, got {type(value).__name__}")
        if weights is None:
            return value.mean() if value.dim() else value
        if not value.dim() or len(value) != len(weights):
            raise ValueError(
                f"loss must give one value for each of the {len(weights)} samples where there are weights, "
                f"got shape {tuple(value.shape)}; leave the mean to the trainer"
            )
        return (value.reshape(len(value), -1).mean(1) * weights.to(value.dtype)).sum() / len(value)

    def check_targets(self, targets: Any) -> None:
        """Raise ValueError where there is no y and the loss can't do without."""
        if targets is None and self._needs_targets:
            raise ValueError("y must be given for the loss, got none; a loss of your own may do without")

    def check(self, outputs: Any, targets: Any) -> None:
        """Refuse a batch on which the loss means nothing; waits for the device.

        Raises
        ------
        ValueError
            There is no y, outputs are no probabilities where the loss takes
            those, or a class number is outside the outputs' classes.
        """
        self.check_targets(targets)
        if not isinstance(outputs, Tensor):
            return
        if self._of_probabilities:
            low, high = outputs.detach().aminmax()
            # A NaN passes: it is for the loss, and TerminateOnNaN, to show.
            if low < 0 or high > 1 + 1e-4:
                raise ValueError(
                    f"the loss takes probabilities, got outputs from {float(low):.4g} to {float(high):.4g}; "
                    "end the module with a softmax or sigmoid, or take 'cross_entropy' or "
                    "'binary_cross_entropy_with_logits', which take logits"
                )
        if self._function is _sparse_categorical_crossentropy or self.classes_first:
            self._check_classes(outputs, targets)

    def _check_classes(self, outputs: Tensor, targets: Any) -> None:
        if not isinstance(targets, Tensor) or targets.is_floating_point() or outputs.dim() < 2:
            return
        ignored = getattr(self._function, "ignore_index", -100)
        classes = outputs.shape[1 if self.classes_first else -1]
        wrong = targets[(targets != ignored) & ((targets < 0) | (targets >= classes))]
        if len(wrong):
            raise ValueError(
                f"y must hold class numbers in [0, {classes}) for these outputs, got {int(wrong[0])}"
            )


def _look_up(name: str) -> LossFunction:
    table = _KERAS | _TORCH
    if name not in table:
        raise ValueError(f"loss must be one of {', '.join(table)}, got {name!r}{did_you_mean(name, table)}")
    return table[name]


def _unreduced(function: Any) -> Any:
    """Give a loss that leaves the mean out, where it can be told how."""
    if isinstance(function, nn.Module):
        if not hasattr(function, "reduction"):
            return function
        each: Any = copy.copy(function)
        each.reduction = "none"
        return each
    try:
        reduces = "reduction" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return function
    return partial(function, reduction="none") if reduces else function
