"""Checks of TorchModel's arguments, before any work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import ReduceLROnPlateau

from onstage.errors import did_you_mean
from onstage.validation import (
    validate_choice,
    validate_float,
    validate_int,
    validate_optional_float,
)
from onstage_torch.losses import Loss

_AMP_TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_AMP_ALIASES = {
    **dict.fromkeys(("true", "bf16", "bf16-mixed", "mixed_bfloat16"), "bfloat16"),
    **dict.fromkeys(("fp16", "half", "16", "16-mixed", "mixed_float16"), "float16"),
}
"""Names that others use to ours."""


def validate_module(module: object) -> nn.Module:
    """Return a module, that inside a DistributedDataParallel; raise TypeError for any other value."""
    if isinstance(module, DistributedDataParallel):
        return validate_module(module.module)
    if isinstance(module, nn.Module):
        return module
    if isinstance(module, type):
        raise TypeError(
            f"module must be an object, got the class {module.__name__}; write {module.__name__}(…)"
        )
    raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")


def check_options(
    schedule_on: object,
    accumulate: object,
    clip_grad_norm: object,
    clip_grad_value: object,
    ema_momentum: object,
    uneven: object,
) -> None:
    """Raise TypeError or ValueError if one of `TorchModel`'s options is invalid."""
    validate_choice("schedule_on", schedule_on, ("epoch", "batch"))
    validate_int("accumulate", accumulate, 1)
    validate_optional_float("clip_grad_norm", clip_grad_norm, 0, exclude={0})
    validate_optional_float("clip_grad_value", clip_grad_value, 0, exclude={0})
    if clip_grad_norm is not None and clip_grad_value is not None:
        raise ValueError("clip_grad_norm or clip_grad_value must be None, got both; choose one of them")
    validate_float("ema_momentum", ema_momentum, 0, 1)
    validate_choice("uneven", uneven, ("error", "shortest"))


def make_optimizer(
    optimizer: Any, module: nn.Module, loss_parameters: Sequence[Tensor] = ()
) -> torch.optim.Optimizer | None:
    """Return an optimizer of the module's and the loss's parameters.

    Parameters
    ----------
    optimizer
        A torch optimizer, a function of the parameters that returns one, or
        None.

    Raises
    ------
    TypeError, ValueError
        If it is not an optimizer, or changes other parameters.
    """
    if optimizer is None:
        return None
    is_made = isinstance(optimizer, torch.optim.Optimizer)
    parameters = (*module.parameters(), *loss_parameters)
    made: torch.optim.Optimizer = optimizer if is_made else _call_factory(optimizer, parameters)
    _check_step(made)
    check_parameters(made, module, loss_parameters)
    return made


def _call_factory(factory: Any, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    if isinstance(factory, str):
        known = [name for name in dir(torch.optim) if name[0].isupper() and name != "Optimizer"]
        raise TypeError(
            f"optimizer must be a torch optimizer or a function that makes one, got {factory!r}"
            f"{did_you_mean(factory, known)} (write torch.optim.…)"
        )
    if isinstance(factory, Iterable):
        raise TypeError(
            f"optimizer must be one optimizer, got several in a {type(factory).__name__}; use them in a loop "
            "of your own, with TorchModel.view(module, optimizers)"
        )
    if not callable(factory):
        kind = type(factory).__name__
        raise TypeError(f"optimizer must be a torch optimizer or a function of the parameters, got {kind}")
    optimizer = factory(each for each in parameters)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(
            "optimizer must be a torch optimizer or a function of the parameters that makes one, "
            f"got {type(optimizer).__name__}"
        )
    return optimizer


def _check_step(optimizer: torch.optim.Optimizer) -> None:
    """Raise TypeError if the optimizer computes the loss itself, several times a step."""
    # Of the class: a scheduler replaces the object's own by a wrapper whose signature has ``self``.
    _, *arguments = signature(type(optimizer).step).parameters.values()
    required = [each for each in arguments if each.default is each.empty]
    if any(each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD) for each in required):
        raise TypeError(
            f"optimizer must step without a closure, got {type(optimizer).__name__}; "
            "use it in a loop of your own, with TorchModel.view(module, optimizer)"
        )


def check_parameters(
    optimizer: torch.optim.Optimizer, module: nn.Module, loss_parameters: Sequence[Tensor]
) -> None:
    """Raise ValueError if the optimizer changes parameters that the model would not save."""
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


def check_ready(
    module: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    loss: Loss | None,
    batches: Any,
    *,
    training: bool,
    has_step: bool,
    labels: str | None,
) -> None:
    """Raise ValueError if a model can't be trained, or evaluated, on the batches."""
    if training and optimizer is None:
        raise ValueError("optimizer must be given to train, got none; pass optimizer=torch.optim.Adam")
    if loss is None and not has_step:
        raise ValueError("loss must be given to train or evaluate, got none; pass loss='cross_entropy'")
    if loss is not None and not labels and batches.x_spec is not None and batches.y_spec is None:
        loss.check_targets(None)
    if training and optimizer is not None:
        check_parameters(optimizer, module, [] if loss is None else loss.parameters)


def check_step(step: object, labels: object, loss: object) -> None:
    """Raise TypeError or ValueError if step or labels is invalid, or a loss is given beside a step."""
    if step is not None and not callable(step):
        raise TypeError(f"step must be a function of (module, x, y), got {step!r}")
    if step is not None and loss is not None:
        raise ValueError("loss must be None with a step, which computes the loss; leave one of them out")
    if labels is not None and not isinstance(labels, str):
        raise TypeError(f"labels must be the key of y in batches that are dicts, got {labels!r}")


def make_scheduler(scheduler: Any, optimizer: torch.optim.Optimizer | None) -> Any:
    """Return a scheduler of the optimizer.

    Parameters
    ----------
    scheduler
        A torch scheduler, a function of the optimizer that returns one, or None.

    Raises
    ------
    TypeError, ValueError
        If it is not a scheduler, needs a metric, or belongs to another optimizer.
    """
    if scheduler is None:
        return None
    if optimizer is None:
        raise ValueError("scheduler needs an optimizer, got none")
    # A scheduler's class has a step too, but is still to be called.
    if callable(scheduler) and (isinstance(scheduler, type) or not hasattr(scheduler, "step")):
        scheduler = scheduler(optimizer)
    if isinstance(scheduler, ReduceLROnPlateau):
        raise TypeError(
            "scheduler must need no metric, got torch's ReduceLROnPlateau; "
            "use the callback onstage.callbacks.ReduceLROnPlateau"
        )
    if not hasattr(scheduler, "step") or not hasattr(scheduler, "state_dict"):
        raise TypeError(
            f"scheduler must be a torch scheduler or a function of the optimizer, got {scheduler!r}"
        )
    if getattr(scheduler, "optimizer", optimizer) is not optimizer:
        raise ValueError("scheduler must belong to the optimizer of the model, got one of another optimizer")
    return scheduler


def amp_dtype(amp: str | torch.dtype | None) -> torch.dtype | None:
    """Return the type of mixed precision; None for none."""
    if amp is None:
        return None
    if isinstance(amp, torch.dtype) and amp in _AMP_TYPES.values():
        return amp
    if isinstance(amp, str) and amp in _AMP_TYPES:
        return _AMP_TYPES[amp]
    meant = _AMP_ALIASES.get(str(amp).lower())
    remedy = "" if meant is None else f"; write amp={meant!r}"
    raise ValueError(f"amp must be 'bfloat16', 'float16' or None, got {amp!r}{remedy}")
