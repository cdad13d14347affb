"""Loss: the value that training minimizes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from onstage_torch.losses import reduction
from onstage_torch.losses.functions import (
    OF_PROBABILITIES,
    Scale,
    look_up,
    scale_of,
    sparse_categorical_crossentropy,
)


class Loss:
    """A loss, optionally weighted by sample.

    Without weights it is the value that the loss returns. With weights ``w`` it is
    ``sum(w * loss) / d`` with the loss's own divisor ``d``, so that weights of
    one change nothing: the number of values for a mean, 1 for ``"sum"``, the
    batch size for ``"batchmean"``, and for cross-entropies the class weights
    of the targets that are not ignored.

    Parameters
    ----------
    given
        A torch loss (module or function), any function of ``(outputs,
        targets)`` that returns a scalar or one value for each sample, or a
        name: those of ``torch.nn.functional`` (``"cross_entropy"``), or
        Keras's (``"sparse_categorical_crossentropy"``), which take
        probabilities. Parameters of a loss module are trained if the
        optimizer holds them.

    Attributes
    ----------
    given
        The argument.
    module
        The loss, if it is a module; else None.
    scale
        Function that turns outputs into probabilities; None if they are
        probabilities, or if that is not known.
    classes_first
        Whether the classes are axis 1, as in torch, rather than the last.

    Raises
    ------
    ValueError, TypeError
        If the name is unknown, or the loss is not callable.

    Examples
    --------
    >>> loss = Loss("mse")
    >>> float(loss(torch.tensor([[1.0], [3.0]]), torch.tensor([1.0, 1.0])))
    2.0
    """

    def __init__(self, given: object) -> None:
        function = look_up(given) if isinstance(given, str) else given
        if not callable(function) or isinstance(function, type):
            raise TypeError(
                f"loss must be a torch loss, a function of (outputs, targets) or a name, got {given!r}"
            )
        self.given = given
        self._function: Callable[..., Any] = function
        self.module = function if isinstance(function, nn.Module) else None
        self.scale: Scale | None = scale_of(function)
        self.classes_first = self.scale in ("softmax", "exp")
        self._needs_targets = isinstance(given, str) or "reduction" in reduction.settings_of(function)
        self._of_probabilities = self._function in OF_PROBABILITIES

    @property
    def parameters(self) -> list[Tensor]:
        """Parameters of the loss itself, such as a learnt temperature."""
        return [] if self.module is None else list(self.module.parameters())

    def to(self, device: torch.device) -> None:
        """Move the loss's own parameters and buffers to a device."""
        if self.module is not None:
            self.module.to(device)

    def named_tensors(self) -> dict[str, Tensor]:
        """Return the loss's own parameters and buffers by name."""
        return {} if self.module is None else dict(self.module.state_dict())

    @property
    def ignored_class(self) -> int | None:
        """Class number of targets that do not count; None if all count."""
        return reduction.ignored_class(self._function)

    def __call__(self, outputs: Any, targets: Any, weights: Tensor | None = None) -> Tensor:
        """Return the loss of a batch, a scalar on the device.

        Raises
        ------
        ValueError
            If there are weights, and the loss is one number for all samples.
        """
        if weights is not None:
            return self._weighted(outputs, targets, weights)
        value = _as_tensor(self._function(outputs, targets))
        return value.mean() if value.dim() else value

    def _weighted(self, outputs: Any, targets: Any, weights: Tensor) -> Tensor:
        each = _as_tensor(reduction.unreduced(self._function)(outputs, targets))
        return _weighted_sum(each, weights) / self._divisor(each, targets)

    def _divisor(self, each: Tensor, targets: Any) -> float | Tensor:
        match reduction.settings_of(self._function).get("reduction"):
            case "sum":
                return 1.0
            case "batchmean":
                return len(each)
            case "mean" if reduction.is_counted(self._function):
                return reduction.class_weight_sum(self._function, each, targets)
        return each.numel()

    def with_divisor(
        self, outputs: Any, targets: Any, weights: Tensor | None, samples: int
    ) -> tuple[Tensor, float | Tensor | None]:
        """Return the loss and its divisor, to be combined with those of other batches.

        The loss of the joined batch is ``sum(loss * divisor) / sum(divisor)``,
        or the sum of the losses if the divisor is None.
        """
        how = reduction.settings_of(self._function).get("reduction")
        if how != "mean" or not reduction.is_counted(self._function):
            return self(outputs, targets, weights), None if how == "sum" else samples
        each = reduction.unreduced(self._function)(outputs, targets)
        divisor = reduction.class_weight_sum(self._function, each, targets)
        total = each.sum() if weights is None else _weighted_sum(each, weights)
        # If all targets are ignored the mean is 0 / 0, but the sum adds nothing.
        return total / divisor.clamp_min(torch.finfo(each.dtype).tiny), divisor

    def check_targets(self, targets: Any) -> None:
        """Raise ValueError if there is no y and the loss needs it."""
        if targets is None and self._needs_targets:
            raise ValueError(
                "y must be given for the loss, got none; only a function of your own may ignore it"
            )

    def check(self, outputs: Any, targets: Any, weights: Tensor | None = None) -> None:
        """Raise if the loss of a batch is undefined; waits for the device.

        Raises
        ------
        ValueError
            If there is no y, the loss takes probabilities and the outputs are
            not, a class number is outside the outputs' classes, or there are
            weights and the loss's mean does not follow from one value for each
            sample.
        """
        self.check_targets(targets)
        if weights is not None and not reduction.is_of_torch(self._function):
            self._check_weights_of_one(outputs, targets, weights)
        if not isinstance(outputs, Tensor):
            return
        if self._of_probabilities:
            low, high = outputs.detach().aminmax()
            # A NaN passes: the loss and TerminateOnNaN report it.
            if low < 0 or high > 1 + 1e-4:
                raise ValueError(
                    f"outputs must be probabilities for this loss, got {float(low):.4g} to "
                    f"{float(high):.4g}; "
                    "end the module with a softmax or sigmoid, or use 'cross_entropy' or "
                    "'binary_cross_entropy_with_logits', which take logits"
                )
        if self._function is sparse_categorical_crossentropy or self.classes_first:
            self._check_classes(outputs, targets)

    def _check_weights_of_one(self, outputs: Any, targets: Any, weights: Tensor) -> None:
        if "reduction" not in reduction.settings_of(self._function):
            return
        probe = copy.deepcopy(self)  # A loss may count its calls.
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            state = torch.get_rng_state()
            plain = probe(outputs, targets)
            torch.set_rng_state(state)
            of_one = probe(outputs, targets, torch.ones_like(weights))
        if not torch.allclose(plain, of_one, rtol=1e-3, equal_nan=True):
            raise ValueError(
                f"loss must be the mean of its values to be weighted, got {float(plain):.4g} from "
                f"{type(self._function).__name__}, and {float(of_one):.4g} with weights of one; "
                "make it return one value for each sample, or leave out sample_weight and class_weight"
            )

    def _check_classes(self, outputs: Tensor, targets: Any) -> None:
        if not isinstance(targets, Tensor) or targets.is_floating_point() or outputs.dim() < 2:
            return
        ignored = self.ignored_class
        classes = outputs.shape[1 if self.classes_first else -1]
        outside = (targets < 0) | (targets >= classes)
        wrong = targets[outside if ignored is None else outside & (targets != ignored)]
        if len(wrong):
            raise ValueError(
                f"y must hold class numbers in [0, {classes}) for these outputs, got {int(wrong[0])}"
            )


def _weighted_sum(each: Tensor, weights: Tensor) -> Tensor:
    """Return the sum of the samples' values times their weights, never broadcast."""
    if not each.dim() or len(each) != len(weights):
        raise ValueError(
            f"loss must return one value for each of the {len(weights)} samples to be weighted, "
            f"got shape {tuple(each.shape)}; leave the mean to the trainer"
        )
    return (each.reshape(len(each), -1).sum(1) * weights.to(each.dtype)).sum()


def _as_tensor(value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"loss must return a tensor, got {type(value).__name__}")
    return value
