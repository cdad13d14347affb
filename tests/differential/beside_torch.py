"""Compare random trainings of TorchModel and of a plain loop until interrupted.

``python tests/differential/beside_torch.py [first_seed [last_seed]]`` prints each
program whose two trainings differ, and what differs in them.
"""

import math
import sys
import traceback
import warnings
from itertools import count

import numpy as np
import torch
from onstage_torch import TorchModel
from torch_draw import draw
from torch_loop import Loop
from torch_metrics import given
from torch_parts import batches_of
from torch_programs import Parts, Program, build

EXACT = 1e-9
"""For float64. Sums are rounded in another order if batches are accumulated or weighted."""


class Changes:
    """Callback that makes a program's changes within a fit."""

    def __init__(self, parts: Parts, fit: int) -> None:
        self._parts, self._fit, self._epoch = parts, fit, 0

    def on_epoch_begin(self, epoch, run):
        self._epoch = epoch

    def on_train_batch_begin(self, batch, run):
        self._parts.changes(self._fit, self._epoch, batch)


def train_by_hand(program: Program) -> dict:
    """Return the result of a plain loop."""
    parts = build(program)
    loop, trace = Loop(parts), {}
    torch.manual_seed(program.seed)
    for number, fit in enumerate(program.fits):
        loop.fit(number, fit)
        trace |= {f"fit {number}: {name}": list(each) for name, each in loop.history.items()}
    trace |= left(parts, loop.scaler)
    x, keywords = parts.held_out
    trace |= {f"evaluate: {name}": value for name, value in loop.measure(batches_of(*parts.held_out)).items()}
    if keywords:
        trace["predict"] = loop.predict(x, 4)
    return trace


def new_model(parts: Parts) -> TorchModel:
    """Return the model of a program."""
    program, case = parts.program, parts.loss
    return TorchModel(
        parts.module,
        parts.optimizer,
        case.given,
        {name: given(name, case) for name in program.metrics} or None,
        weighted_metrics={name: given(name, case) for name in program.weighted_metrics} or None,
        scheduler=parts.scheduler,
        schedule_on=program.schedule_on,
        device="cpu",
        amp=program.amp,
        accumulate=program.accumulate,
        clip_grad_norm=program.clip,
        use_ema=program.ema is not None,
        ema_momentum=program.ema or 0.99,
    )


def train_on_stage(program: Program) -> dict:
    """Return the result of TorchModel."""
    parts = build(program)
    model, trace = new_model(parts), {}
    torch.manual_seed(program.seed)
    for number, fit in enumerate(program.fits):
        if number and program.resumed:
            parts, model = resume(parts, model)
        parts.changes(number, None)
        x, keywords = parts.data
        history = model.fit(
            x,
            **keywords,
            epochs=fit.epochs,
            steps_per_epoch=fit.steps,
            seed=fit.seed,
            shuffle=False,
            class_weight=parts.class_weight,
            verbose=0,
            callbacks=[Changes(parts, number)],
            **_validation(parts),
        )
        trace |= {f"fit {number}: {name}": values for name, values in history.history.items()}
    updates = model.state_dict()["updates"]
    trace |= left(parts, updates["scaler"])
    x, keywords = parts.held_out
    measured = model.evaluate(x, **keywords, verbose=0, return_dict=True)
    trace |= {f"evaluate: {name}": value for name, value in measured.items()}
    if keywords:
        trace["predict"] = model.predict(x, batch_size=4, verbose=0)
    return trace


def resume(parts: Parts, model: TorchModel) -> tuple[Parts, TorchModel]:
    """Return new objects that continue the training of others."""
    state = model.state_dict()
    new = build(parts.program)
    new.data, new.validation = parts.data, parts.validation
    for what in parts.applied:
        new.apply(what)
    new_one = new_model(new)
    new_one.load_state_dict(state)
    return new, new_one


def _validation(parts: Parts) -> dict:
    if parts.validation is None:
        return {}
    x, keywords = parts.validation
    steps = {"validation_steps": parts.program.validation_steps}
    if not keywords:
        return {"validation_data": x, **steps}
    data = [each for each in (x, keywords["y"], keywords["sample_weight"]) if each is not None]
    return {"validation_data": tuple(data), "validation_batch_size": keywords["batch_size"], **steps}


def left(parts: Parts, scaler) -> dict:
    """Return weights, buffers, the optimizer's state, and torch's random state after a training."""
    trace = {f"weights: {name}": value for name, value in parts.module.state_dict().items()}
    if isinstance(parts.loss.given, torch.nn.Module):
        trace |= {f"loss's: {name}": value for name, value in parts.loss.given.state_dict().items()}
    trace |= flat("optimizer", parts.optimizer.state_dict())
    if parts.scheduler is not None:
        trace["scheduler: last_epoch"] = parts.scheduler.last_epoch
    if parts.program.amp == "float16":
        trace["scale"] = scaler["scale"] if isinstance(scaler, dict) else scaler.get_scale()
    return trace | {"torch's random state": torch.get_rng_state()}


def flat(name: str, tree) -> dict:
    """Return the numbers of a nest, by path."""
    if isinstance(tree, dict):
        items = tree.items()
    elif isinstance(tree, list | tuple):
        items = enumerate(tree)
    else:
        return {name: tree} if isinstance(tree, int | float | torch.Tensor) else {}
    return {key: value for part, each in items for key, value in flat(f"{name}.{part}", each).items()}


def difference(program: Program, hand, stage) -> float:
    """Return the distance of two values, in units of the tolerance."""
    hand, stage = (np.asarray(_plain(each), np.float64) for each in (hand, stage))
    if hand.shape != stage.shape:
        return math.inf
    allowed = tolerance(program)
    scale = np.maximum(1.0, np.abs(np.nan_to_num(hand)))
    same = (hand == stage) | (np.isnan(hand) & np.isnan(stage))
    with np.errstate(invalid="ignore"):
        distance = np.where(same, 0.0, np.abs(hand - stage) / scale)
    worst = float(np.max(distance, initial=0.0))
    return math.inf if math.isnan(worst) else worst / allowed


def tolerance(program: Program) -> float:
    """Return the tolerance."""
    if program.amp is None:
        return EXACT
    # Sums in another order change the last digit of float32, and that now and then one of bfloat16.
    reordered = program.accumulate > 1 or program.weights != "none" or program.validation == "weighted"
    if reordered:
        return 2e-2
    return 2e-3 if program.ema else 1e-5


def _plain(value):
    return value.detach().double().numpy() if isinstance(value, torch.Tensor) else value


def differences(program: Program) -> list[str]:
    """Return the differences of the two trainings, in words."""
    hand, stage = train_by_hand(program), train_on_stage(program)
    found = [f"{name}: only in one of them" for name in hand.keys() ^ stage.keys()]
    for name in hand.keys() & stage.keys():
        if difference(program, hand[name], stage[name]) > 1:
            found.append(f"{name}: {_short(hand[name])} by hand, {_short(stage[name])} on stage")
        elif name.startswith("weights") and not hand[name].isfinite().all():
            found.append(f"{name}: not finite, which compares nothing")
    return sorted(found)


def _short(value) -> str:
    array = np.asarray(_plain(value), np.float64).reshape(-1)
    return " ".join(f"{each:.8g}" for each in array[:4]) + (" …" if array.size > 4 else "")


def main(first: int = 0, last: int | None = None) -> None:
    """Compare until interrupted, or up to the last seed."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
    failed = compared = 0
    for seed in count(first) if last is None else range(first, last):
        program = draw(seed)
        try:
            found = differences(program)
        except Exception:
            found = traceback.format_exc().splitlines()[-1:] + traceback.format_exc().splitlines()
        compared += 1
        if found:
            failed += 1
            print(program, *found[:40], sep="\n    ", flush=True)
        if seed % 100 == 99:
            print(f"{compared} compared, {failed} differ", flush=True)
    print(f"{compared} compared, {failed} differ")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
