"""Random programs, each drawn from a whole number."""

import random
from dataclasses import replace

from torch_losses import FOR_TOKENS, MAKERS, LossCase
from torch_parts import LINEAR, OPTIMIZERS, SCHEDULERS
from torch_programs import Change, Fit, Program


def draw(seed: int) -> Program:
    """Return the program of a seed."""
    rng = random.Random(seed)
    module = rng.choice(["mlp", "mlp", "dropout", "norm", "tokens"])
    loss = rng.choice(FOR_TOKENS if module == "tokens" else list(MAKERS))
    case = MAKERS[loss](random.Random(seed))
    amp = rng.choice(["bfloat16", "float16"]) if rng.random() < 0.2 else None
    if amp and case.reduction.startswith("own"):
        amp = None
    # Pending gradients are not divided yet, and in float16 overflow a little sooner: left out.
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
    if reordered:
        # A last digit of bfloat16 may decide a class.
        program = replace(program, metrics=(), weighted_metrics=())
    if program.ignored_end:
        # torchmetrics fails for an epoch without targets.
        program = replace(program, metrics=tuple(each for each in program.metrics if each != "auroc"))
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
        # Whether weights frozen within a training are still averaged, Keras leaves open: left out.
        return program
    if rng.random() < 0.3:
        return program
    fit = rng.randrange(len(program.fits))
    if rng.random() < 0.4:
        return replace(program, changes=(Change(what[0], fit),))
    epoch = rng.randrange(program.fits[fit].epochs)
    # Never frozen parameters have earlier gradients, of no step: they are added between two steps.
    batch = 0 if program.groups == "body never frozen" and program.accumulate > 1 else rng.choice([0, 1])
    return replace(program, changes=(Change(what[0], fit, epoch, batch),))


def _with_scheduler(rng: random.Random, program: Program) -> Program:
    # torch's schedulers know only the groups that existed when they were made.
    if program.groups.startswith("body") or rng.random() < 0.5:
        return program
    return replace(
        program, scheduler=rng.choice(list(SCHEDULERS)), schedule_on=rng.choice(["epoch", "batch"])
    )
