"""Random trainings, each from a whole number."""

import random
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch_losses import FOR_TOKENS, MAKERS, LossCase
from torch_parts import LINEAR, OPTIMIZERS, SCHEDULERS, TOKENS, Net, as_fed, inputs, targets

SLOWER = 0.03
"""A sum makes steps so long that weights would be infinite, and equal for that."""


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
    """A training, drawn from `seed`; two builds of one program begin the same.

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


def draw(seed: int) -> Program:
    """Return the program of a number."""
    rng = random.Random(seed)
    module = rng.choice(["mlp", "mlp", "dropout", "norm", "tokens"])
    loss = rng.choice(FOR_TOKENS if module == "tokens" else list(MAKERS))
    case = MAKERS[loss](random.Random(seed))
    amp = rng.choice(["bfloat16", "float16"]) if rng.random() < 0.2 else None
    if amp and case.reduction.startswith("own"):
        amp = None
    # Gradients in wait are not divided yet, and float16's overflow a little sooner: left out.
    accumulate = 1 if amp == "float16" else rng.choice([1, 1, 2, 3])
    weights = _weights(rng, case, module)
    reordered = amp and (accumulate > 1 or weights != "none")
    overflow = amp == "float16" and module != "tokens" and rng.random() < 0.8
    form = rng.choice(["arrays", "tensors", "dataset", "batches", "loader", "shuffled", "global"])
    program = Program(
        seed,
        module,
        loss,
        weights=weights,
        optimizer=rng.choice(LINEAR if reordered else list(OPTIMIZERS)),
        groups=rng.choice(["one", "two", "body late", "body never frozen"]),
        accumulate=accumulate,
        clip=rng.choice([None, None, 0.05, 0.5]),
        ema=rng.choice([None, None, 0.5, 0.9]),
        amp=amp,
        overflow=overflow,
        form=form,
        n=rng.choice([18, 20, 23]),
        batch_size=rng.choice([4, 5, 7, 8]),
        drop_last=form in ("loader", "shuffled", "global") and rng.random() < 0.4,
        ignored_end=rng.random() < 0.2,
        resumed=rng.random() < 0.2,
        frozen=rng.random() < 0.3,
        norm_in_eval=module == "norm" and rng.random() < 0.3,
        fits=tuple(_fit(rng) for _ in range(rng.choice([1, 2, 2]))),
        validation=rng.choice(
            ["none", "arrays", "loader", *(["weighted"] if case.reduction != "own" else [])]
        ),
        validation_steps=rng.choice([None, None, 2]),
        metrics=_metrics(rng, case, module),
        weighted_metrics=_weighted_metrics(rng, case),
    )
    if program.optimizer == "nadam":
        # torch's load_state_dict turns a float32 of its state into the type of the weights.
        program = replace(program, resumed=False)
    return _with_scheduler(rng, _with_changes(rng, program, case))


def _weights(rng: random.Random, case: LossCase, module: str) -> str:
    if case.reduction == "own":  # One number for all samples: refused.
        return "none"
    # A sequence has no class: refused. An ignored target is none either.
    by_class = case.targets.startswith("classes") and module != "tokens"
    return rng.choice(["none", "none", "ones", "random", "column", *(["class"] if by_class else [])])


def _fit(rng: random.Random) -> Fit:
    return Fit(rng.choice([1, 2, 3]), rng.choice([None, None, 2, 4]), rng.choice([None, None, 5]))


def _metrics(rng: random.Random, case: LossCase, module: str) -> tuple[str, ...]:
    known = ["spread"]
    if case.targets.startswith("classes"):
        known += ["accuracy", "f1", "counted accuracy"]
        # The few words of a sequence make ties, which the last digit of a weight decides.
        if case.ignore_index != 2 and module != "tokens":
            known += ["auroc"]
    if case.targets == "bits":
        known += ["binary_accuracy"]
    return tuple(rng.sample(known, rng.randint(0, len(known))))


def _weighted_metrics(rng: random.Random, case: LossCase) -> tuple[str, ...]:
    known = ["weighted spread"]
    if case.targets.startswith("classes"):
        known += ["sparse_categorical_accuracy"]
    return tuple(rng.sample(known, rng.randint(0, len(known))))


def _with_changes(rng: random.Random, program: Program, case: LossCase) -> Program:
    """Draw when the body is unfrozen, frozen or added."""
    added = program.groups.startswith("body")
    what = ["add"] if added else ["unfreeze"] if program.frozen else ["freeze"]
    if what == ["freeze"] and program.ema:
        # Is what is frozen in mid-training still averaged? Keras doesn't say: left out.
        return program
    if rng.random() < 0.3:
        return program
    fit = rng.randrange(len(program.fits))
    if rng.random() < 0.4:
        return replace(program, changes=(Change(what[0], fit),))
    epoch = rng.randrange(program.fits[fit].epochs)
    # What was never frozen has gradients from before, which belong to no step: added between two steps.
    batch = 0 if program.groups == "body never frozen" and program.accumulate > 1 else rng.choice([0, 1])
    return replace(program, changes=(Change(what[0], fit, epoch, batch),))


def _with_scheduler(rng: random.Random, program: Program) -> Program:
    # torch's schedulers know the groups that there were when they were made.
    if program.groups.startswith("body") or rng.random() < 0.5:
        return program
    return replace(
        program, scheduler=rng.choice(list(SCHEDULERS)), schedule_on=rng.choice(["epoch", "batch"])
    )


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
    """Make float32 of all: autocast leaves float64 as it is."""
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
