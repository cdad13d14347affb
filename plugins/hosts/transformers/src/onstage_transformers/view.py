"""The model of a Trainer, as callbacks see it."""

from __future__ import annotations

from typing import Any

import torch
from onstage_torch import TorchView
from safetensors.torch import save_model
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau
from transformers import TrainingArguments

from onstage.hosts import HostView, file_writer

_CHECKPOINTS = "the Trainer's checkpoints hold the callbacks' state: pass resume_from_checkpoint to train"
LACKS = {
    "state_dict": _CHECKPOINTS,
    "load_state_dict": _CHECKPOINTS,
    "snapshot": "save without save_in_background",
    "finalize_weights": "the Trainer keeps no average of the weights: leave the callback out",
}
"""Need of a callback to what stands instead; see `onstage.hosts.HostView`."""

_SHARDED = "each process has a part of the weights: use the Trainer's own checkpoints"


def make_view(
    host: str,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    args: TrainingArguments,
    max_steps: int,
) -> HostView:
    """Return the view of a model, with what its Trainer offers to callbacks.

    Parameters
    ----------
    host
        Name of the Trainer in messages.
    model, optimizer, scheduler
        Those of the Trainer.
    args
        Arguments of the Trainer.
    max_steps
        Number of steps in which the scheduler sets rates.
    """
    lacks, owner = dict(LACKS), None
    if not (is_constant(scheduler, max_steps) or isinstance(scheduler, ReduceLROnPlateau)):
        owner = scheduler
        name = type(scheduler).__name__
        lacks["learning_rate"] = f"{name} sets it: pass lr_scheduler_type='constant' to TrainingArguments"
    if args.fsdp or args.deepspeed:
        lacks |= dict.fromkeys(("get_weights", "set_weights", "save", "save_weights"), _SHARDED)

    def agree(asked: bool) -> bool:
        return bool(mean_of_processes(torch.tensor(float(asked), device=args.device)).item())

    inside = TorchView(model, optimizer, owner)
    # The names and the metadata of a model.safetensors of save_pretrained.
    save = file_writer(lambda path: save_model(model, path, metadata={"format": "pt"}))
    return HostView(
        inside,
        host,
        lacks,
        rank=args.process_index,
        agree=agree if args.world_size > 1 else None,
        save=save,
        save_weights=save,
        snapshot_writer=inside.snapshot_writer,
    )


def is_constant(scheduler: Any, max_steps: int) -> bool:
    """Return whether a scheduler never changes the rate, as that of ``"constant"``."""
    if not isinstance(scheduler, LambdaLR):
        return False
    factors: list[Any] = scheduler.lr_lambdas
    return all(factor(step) == 1 for factor in factors for step in range(max_steps + 1))


def mean_of_processes(value: torch.Tensor) -> torch.Tensor:
    """Return the mean of a value over all processes; all of them call it together."""
    total = value.clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()
