"""The reduction of a loss: from one value for each sample or element to one number."""

from __future__ import annotations

import copy
import inspect
from functools import lru_cache, partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

IGNORE_INDEX = -100
"""torch's default class number of targets that do not count."""

_COUNTED_MODULES = (nn.CrossEntropyLoss, nn.NLLLoss)
_COUNTED_FUNCTIONS = (F.cross_entropy, F.nll_loss)


def settings_of(function: Any) -> dict[str, Any]:
    """Return the loss's own settings: ``reduction``, ``weight``, ``ignore_index``.

    The settings of a module are its attributes, read each time; those of a
    function are its defaults and the arguments bound by `functools.partial`.
    """
    if isinstance(function, nn.Module):
        names = ("reduction", "weight", "ignore_index")
        return {name: getattr(function, name) for name in names if hasattr(function, name)}
    if isinstance(function, partial):
        return settings_of(function.func) | function.keywords
    return _defaults(function) if function.__hash__ else {}


@lru_cache(maxsize=64)
def _defaults(function: Any) -> dict[str, Any]:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
    names = {"reduction", "weight", "ignore_index"} & set(parameters)
    return {name: parameters[name].default for name in names}


def unreduced(function: Any) -> Any:
    """Return the loss without its reduction; the loss itself if it has none."""
    if "reduction" not in settings_of(function):
        return function
    if isinstance(function, nn.Module):
        each: Any = copy.copy(function)  # Parameters and buffers stay shared.
        each.reduction = "none"
        return each
    return partial(function, reduction="none")


def base_of(function: Any) -> Any:
    """Return the class of a module, or the function below `functools.partial`."""
    if isinstance(function, nn.Module):
        return type(function)
    if isinstance(function, partial):
        return base_of(function.func)
    return function if function.__hash__ else type(function)


def is_of_torch(function: Any) -> bool:
    """Return whether torch itself computes the loss, rather than a subclass of its loss."""
    base = base_of(function)
    defined_by: Any = getattr(base, "forward", base)
    return str(getattr(defined_by, "__module__", "")).startswith("torch.")


def is_counted(function: Any) -> bool:
    """Return whether the mean is divided by the weights of the targets' classes.

    True for cross-entropy and negative log-likelihood: their divisor leaves out
    ignored targets.
    """
    is_module = isinstance(function, _COUNTED_MODULES) and is_of_torch(function)
    return is_module or base_of(function) in _COUNTED_FUNCTIONS


def ignored_class(function: Any) -> int | None:
    """Return the class number that the loss ignores; None if it ignores none."""
    number = settings_of(function).get("ignore_index")
    return number if isinstance(number, int) else None


def class_weight_sum(function: Any, values: Tensor, targets: Tensor) -> Tensor:
    """Return the divisor of a counted loss: the class weights of the targets that count.

    Parameters
    ----------
    values
        Loss of each target.
    targets
        Class numbers, or probabilities in the shape of the outputs.
    """
    if targets.is_floating_point():
        return values.new_full((), values.numel())
    settings = settings_of(function)
    kept = targets != settings.get("ignore_index", IGNORE_INDEX)
    weight: Tensor | None = settings.get("weight")
    counted = kept if weight is None else weight[targets.where(kept, 0)] * kept
    total: Tensor = counted.sum().to(values.dtype)
    return total
