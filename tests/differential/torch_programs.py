"""Trainings as data, and the objects made from them."""

import random
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch_losses import MAKERS, LossCase
from torch_parts import OPTIMIZERS, SCHEDULERS, TOKENS, Net, as_fed, inputs, targets

SLOWER = 0.03
"""A sum makes such long steps that weights would become infinite, and equal for that reason."""


@dataclass(frozen=True)
class Change:
    """Something that happens to the module or optimizer.

    Attributes
    ----------
    what
        "unfreeze" or "freeze" the body, or "add" it to the optimizer.
    fit, epoch, batch
        Before which batch; with no epoch, before the fit.
    """

    what: str
    fit: int
    epoch: int | None = None
    batch: int = 0


@dataclass(frozen=True)
class Fit:
    """The arguments of one fit."""

    epochs: int
    steps: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Program:
    """A training, drawn from `seed`; two builds of one program begin equally.

    Attributes
    ----------
    weights
        In training: "none", "ones", "random", "column" (of shape ``(n, 1)``), or "class".
    groups
        Of the optimizer: "one"; "two" with rates of their own; "body late", which
        the optimizer has no part of until it is added; or "body never frozen",
        the same without `requires_grad` being changed.
    overflow
        Whether some gradients are too large for float16.
    ignored_end
        Whether the last two targets are ignored.
    resumed
        Whether each fit but the first is made by new objects that load the state.
    norm_in_eval
        Whether the body has been put into evaluation mode.
    """

    seed: int
    module: str = "mlp"
    loss: str = "mse"
    weights: str = "none"
    optimizer: str = "sgd"
    groups: str = "one"
    scheduler: str | None = None
    schedule_on: str = "epoch"
    accumulate: int = 1
    clip: float | None = None
    ema: float | None = None
    amp: str | None = None
    overflow: bool = False
    form: str = "arrays"
    n: int = 20
    batch_size: int = 8
    drop_last: bool = False
    ignored_end: bool = False
    resumed: bool = False
    frozen: bool = False
    norm_in_eval: bool = False
    changes: tuple[Change, ...] = ()
    fits: tuple[Fit, ...] = (Fit(2, seed=5),)
    validation: str = "none"
    validation_steps: int | None = None
    metrics: tuple[str, ...] = ()
    weighted_metrics: tuple[str, ...] = ()

    def __str__(self) -> str:
        plain = Program(self.seed)
        drawn = {name: value for name, value in vars(self).items() if value != vars(plain)[name]}
        return f"Program({self.seed}, " + ", ".join(f"{k}={v!r}" for k, v in drawn.items()) + ")"


@dataclass
class Parts:
    """A program's objects, new ones for each side."""

    program: Program
    module: Net
    loss: LossCase
    optimizer: torch.optim.Optimizer
    scheduler: Any
    data: tuple[Any, dict[str, Any]]
    validation: tuple[Any, dict[str, Any]] | None
    class_weight: dict[int, float] | None
    held_out: tuple[Any, dict[str, Any]] = field(default=(None, {}))

    applied: list[str] = field(default_factory=list)

    def apply(self, what: str) -> None:
        """Make a `Change`."""
        self.applied.append(what)
        if what == "add":
            rate = 0.02 * (SLOWER if self.loss.reduction == "sum" else 1)
            self.optimizer.add_param_group({"params": list(self.module.body.parameters()), "lr": rate})
        self.module.body.requires_grad_(what != "freeze")

    def changes(self, fit: int, epoch: int | None, batch: int = 0) -> None:
        """Make the changes that are due."""
        for each in self.program.changes:
            if (each.fit, each.epoch, each.batch) == (fit, epoch, batch):
                self.apply(each.what)


def build(program: Program) -> Parts:
    """Make a program's objects."""
    case = MAKERS[program.loss](random.Random(program.seed))
    module = _module(program, case)
    optimizer = OPTIMIZERS[program.optimizer](_groups(program, module, case))
    if case.reduction == "sum":
        for group in optimizer.param_groups:
            group["lr"] *= SLOWER
    scheduler = None if program.scheduler is None else SCHEDULERS[program.scheduler](optimizer)
    if program.amp:
        _narrow(module, case)
    rng = np.random.default_rng(program.seed)
    weighted = program.weights in ("ones", "random", "column")
    train = _samples(program, case, rng, program.n, program.weights if weighted else None)
    cuts = np.array([3, 5, 11, 13, 17])
    data = as_fed(
        program.form, train, program.batch_size, drop_last=program.drop_last, seed=program.seed, batches=cuts
    )
    held_out = as_fed(
        "loader" if program.validation == "loader" else "arrays",
        _samples(program, case, rng, 11, "random" if program.validation == "weighted" else None),
        program.batch_size,
        drop_last=False,
        seed=0,
        batches=cuts,
    )
    return Parts(
        program,
        module,
        case,
        optimizer,
        scheduler,
        data,
        validation=None if program.validation == "none" else held_out,
        class_weight={0: 0.5, 2: 3.0} if program.weights == "class" else None,
        held_out=held_out,
    )


def _module(program: Program, case: LossCase) -> Net:
    torch.manual_seed(program.seed)
    end = {"chances": "sigmoid", "logs": "log_softmax"}.get(case.targets.rpartition(" of ")[2], "")
    classes_first = program.module == "tokens" and case.targets.startswith("classes")
    module = Net(program.module, end, classes_first).double()
    if program.frozen or program.groups == "body late":
        module.body.requires_grad_(False)
    if program.norm_in_eval:
        module.body.eval()
    return module


def _groups(program: Program, module: Net, case: LossCase) -> list[Any]:
    own = list(case.given.parameters()) if isinstance(case.given, torch.nn.Module) else []
    head, body = list(module.head.parameters()), list(module.body.parameters())
    if program.groups == "one":
        return [*body, *head, *own]
    if program.groups == "two":
        return [{"params": head}, {"params": [*body, *own], "lr": 0.03}]
    return [*head, *own]


def _narrow(module: Net, case: LossCase) -> None:
    """Convert all to float32: autocast does not change float64."""
    module.float()
    for name, value in case.options.items():
        if isinstance(value, torch.Tensor):
            case.options[name] = value.float()
    if isinstance(case.given, partial):
        case.given.keywords.update(case.options)
    if isinstance(case.given, torch.nn.Module):
        case.given.float()


def _samples(
    program: Program, case: LossCase, rng: np.random.Generator, n: int, weights: str | None
) -> list[Any]:
    x = inputs(rng, program.module, n)
    y = targets(rng, case.targets, (n, TOKENS) if program.module == "tokens" else (n,))
    if case.ignore_index is not None and case.ignore_index < 0 and program.weights != "class":
        y = np.where(rng.random(y.shape) < 0.2, case.ignore_index, y)
        if program.ignored_end:
            y[-2:] = case.ignore_index
    if program.overflow:
        large = y if case.targets == "values" else x
        large[: n // 2] *= 40
    parts = [x, y]
    if weights is not None:
        # Eighths, which are the same in float32.
        drawn = np.ones(n) if weights == "ones" else rng.integers(0, 17, n) / 8
        parts.append(drawn[:, None] if weights == "column" else drawn)
    if program.amp:
        parts = [part.astype(np.float32) if part.dtype.kind == "f" else part for part in parts]
    return parts
