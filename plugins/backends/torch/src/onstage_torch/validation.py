"""The checks of TorchModel's arguments, before any work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from onstage.errors import did_you_mean
from onstage_torch.optimizer_step import check_scheduler

_AMP_TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def module(given: object) -> nn.Module:
    """Give a module; raises TypeError for anything else."""
    if isinstance(given, nn.Module):
        return given
    if isinstance(given, type):
        raise TypeError(
            f"module must be an object, got the class {given.__name__}; write {given.__name__}(…)"
        )
    raise TypeError(f"module must be a torch.nn.Module, got {type(given).__name__}")


def optimizer(
    given: Any, module: nn.Module, loss_parameters: Sequence[Tensor] = ()
) -> torch.optim.Optimizer | None:
    """Return an optimizer of the module's and the loss's parameters, made if need be.

    Raises
    ------
    TypeError, ValueError
        It is no optimizer, or changes other parameters.
    """
    if given is None:
        return None
    parameters = [*module.parameters(), *loss_parameters]
    made = given if isinstance(given, torch.optim.Optimizer) else _made(given, parameters)
    if not isinstance(made, torch.optim.Optimizer):
        raise TypeError(
            "optimizer must be a torch optimizer or a function of the parameters that makes one, "
            f"got {type(made).__name__}"
        )
    check_parameters(made, module, loss_parameters)
    return made


def check_parameters(
    optimizer: torch.optim.Optimizer, module: nn.Module, loss_parameters: Sequence[Tensor]
) -> None:
    """Raise ValueError if the optimizer changes what no state of the model would hold."""
    of_module = {id(each) for each in module.parameters()}
    changed = [each for group in optimizer.param_groups for each in group["params"]]
    if not any(id(each) in of_module for each in changed):
        raise ValueError("optimizer must change parameters of the module, got one that has none of them")
    known = of_module | {id(each) for each in loss_parameters}
    others = [tuple(each.shape) for each in changed if id(each) not in known]
    if others:
        raise ValueError(
            "optimizer must change parameters of the module or of the loss, got others of shape "
            f"{', '.join(map(str, others[:3]))}, which would not be saved; "
            "make them parameters of the module, or of a loss that is a torch.nn.Module"
        )


def _made(given: Any, parameters: Sequence[Tensor]) -> Any:
    if isinstance(given, str):
        known = [name for name in dir(torch.optim) if name[0].isupper() and name != "Optimizer"]
        raise TypeError(
            f"optimizer must be a torch optimizer or a function that makes one, got {given!r}"
            f"{did_you_mean(given, known)} (write torch.optim.…)"
        )
    if not callable(given):
        raise TypeError(
            f"optimizer must be a torch optimizer or a function of the parameters, got {type(given).__name__}"
        )
    return given(each for each in parameters)


def scheduler(given: Any, optimizer: torch.optim.Optimizer | None) -> Any:
    """Give a scheduler of the optimizer, made where it is to be made."""
    if given is None:
        return None
    if optimizer is None:
        raise ValueError("scheduler needs an optimizer, got none")
    # A scheduler's class has a step too, but is still to be made.
    to_make = callable(given) and (isinstance(given, type) or not hasattr(given, "step"))
    made = given(optimizer) if to_make else given
    check_scheduler(made, optimizer)
    return made


def choice(name: str, value: str, known: Sequence[str]) -> str:
    """Give one of several words, or raise ValueError with the closest."""
    if value not in known:
        words = " or ".join(map(repr, known))
        raise ValueError(f"{name} must be {words}, got {value!r}{did_you_mean(str(value), known)}")
    return value


def count(name: str, value: object) -> int:
    """Give a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number of at least 1, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return value


def share(name: str, value: float) -> float:
    """Give a number between 0 and 1."""
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{name} must be a number in [0, 1], got {value!r}")
    return float(value)


def norm(value: float | None) -> float | None:
    """Give a length above 0, or None."""
    if value is not None and (not isinstance(value, int | float) or not value > 0 or math.isnan(value)):
        raise ValueError(f"clip_grad_norm must be a number above 0 or None, got {value!r}")
    return value


def amp_type(given: str | torch.dtype | None) -> torch.dtype | None:
    """Give the type of mixed precision, or None."""
    if given is None or given in _AMP_TYPES.values():
        return given if isinstance(given, torch.dtype) else None
    return _AMP_TYPES[choice("amp", str(given), tuple(_AMP_TYPES))]
