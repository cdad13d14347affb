"""The model of a training in Ignite, as callbacks see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import ignite.distributed as idist
import torch
from ignite.engine import Engine
from ignite.handlers.param_scheduler import ParamGroupScheduler, ParamScheduler
from onstage_torch import TorchView
from torch import nn

from onstage.hosts import HostView, file_writer


class Stateful(Protocol):
    """An object that Ignite can save."""

    def state_dict(self) -> Any:
        """Return the state."""
        ...


class Attached(NamedTuple):
    """The objects that a handler was attached to."""

    trainer: Engine
    evaluator: Engine | None
    model: nn.Module | None
    optimizer: Any


def make_view(attached: Attached, handler: Stateful, lacks: Mapping[str, str]) -> HostView:
    """Return the view of a model, its optimizer, and what of these Ignite does not have."""
    module = attached.model
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        module = module.module
    view = TorchView(nn.Module() if module is None else module, attached.optimizer)
    lacks = dict(lacks)
    if module is None:
        needs = ("get_weights", "set_weights", "save", "save_weights", "set_gradient_callback")
        lacks |= dict.fromkeys(needs, "pass model to attach")
    if not view.optimizers:
        lacks["learning_rate"] = "pass optimizer to attach"
    elif (name := _scheduler_of(attached, view.optimizers)) is not None:
        lacks["learning_rate"] = f"{name} sets it: leave {name} out"

    def write(path: str) -> None:
        saved: dict[str, Stateful] = {"model": view.module, **view.optimizers}
        saved |= {"trainer": attached.trainer, "onstage": handler}
        torch.save({name: each.state_dict() for name, each in saved.items()}, path)

    return HostView(
        view,
        "Ignite",
        lacks,
        rank=idist.get_rank(),
        agree=_agree if idist.get_world_size() > 1 else None,
        save=file_writer(write),
    )


def _agree(asked: bool) -> bool:
    return bool(idist.all_reduce(int(asked)))


def _scheduler_of(attached: Attached, optimizers: Mapping[str, torch.optim.Optimizer]) -> str | None:
    """Return the name of a scheduler that sets the learning rate, if there is one."""
    for engine in (attached.trainer, attached.evaluator):
        for handlers in engine._event_handlers.values() if engine is not None else ():
            for handler, _, _ in handlers:
                # With a filter such as every=2, Ignite keeps a reference to the handler.
                own = handler._parent() if hasattr(handler, "_parent") else handler
                if isinstance(own, ParamScheduler | ParamGroupScheduler) and "lr" in own.param_name:
                    return type(own).__name__
    # Stepped by a function of the user: torch marks the optimizer of a scheduler.
    if any(hasattr(each.step, "_wrapped_by_lr_sched") for each in optimizers.values()):
        return "the scheduler"
    return None
