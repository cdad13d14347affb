"""A training loop as a careful user of torch writes it, for any `torch_programs.Program`.

Written from the documentation of torch and knowing nothing of onstage but what
its documentation promises: batches that are accumulated make the step of the
joined batch, a scheduler for epochs is stepped before every epoch but the
first, and the moving average is that of Keras.
"""

import contextlib
from collections import defaultdict
from itertools import islice

import torch
from torch_metrics import ByHand
from torch_parts import batches_of
from torch_programs import Fit, Parts

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Loop:
    """Trains, evaluates and predicts."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.program = parts, parts.program
        self.module, self.optimizer, self.case = parts.module, parts.optimizer, parts.loss
        self.scaler = torch.amp.GradScaler("cpu", enabled=self.program.amp == "float16")
        self.history: dict[str, list[float]] = defaultdict(list)
        self.average: dict[torch.nn.Parameter, torch.Tensor] = {}
        self.epochs_begun = 0

    # -- training

    def fit(self, number: int, fit: Fit) -> None:
        """Train for some epochs."""
        self.parts.changes(number, None)
        if fit.seed is not None:
            torch.manual_seed(fit.seed)
        self.history.clear()
        batches = Passes(batches_of(*self.parts.data))
        for epoch in range(fit.epochs):
            self._train(number, epoch, batches.epoch(fit.steps) if fit.steps else batches.source)
            if self.parts.validation is not None:
                steps = self.program.validation_steps
                measured = self.measure(islice(batches_of(*self.parts.validation), steps))
                for name, value in measured.items():
                    self.history[f"val_{name}"].append(value)
        with torch.no_grad():
            for weight, average in self.average.items():
                weight.copy_(average)

    def _train(self, number, epoch, batches):
        if self.epochs_begun and self.program.scheduler and self.program.schedule_on == "epoch":
            self.parts.scheduler.step()
        self.epochs_begun += 1
        self.module.train()
        if self.program.norm_in_eval:
            self.module.body.eval()
        accumulator = Totals(self)
        batch = 0
        for group in grouped(batches, self.program.accumulate):
            batch = self._step(group, accumulator, lambda at: self.parts.changes(number, epoch, at), batch)
        for name, value in accumulator.results().items():
            self.history[name].append(value)

    def _step(self, group, accumulator, change, batch):
        """Make one step of the optimizer from a group of batches."""
        for number, (x, y, weights) in enumerate(map(self._parts, group)):
            change(batch)
            batch += 1
            if number == 0:
                self.optimizer.zero_grad()
            with self._autocast():
                outputs = self.module(x)
                loss = part = self._loss(outputs, y, weights)
                if len(group) > 1:
                    part = self.case.numerator(outputs, y, weights) / self._joined_divisor(outputs, group)
                if self.program.accumulate > 1 and not self.case.divisor(outputs, y):
                    # If all targets are ignored, the batch has no mean but adds nothing to the joined one.
                    loss = torch.zeros(())
            self.scaler.scale(part).backward()
            accumulator.add(loss, outputs, y, weights)
        if self.program.clip:
            self.scaler.unscale_(self.optimizer)
            parameters = [each for part in self.optimizer.param_groups for each in part["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, self.program.clip)
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.scaler.get_scale() >= scale:  # else a gradient overflowed, and no step was made
            self._after_step()
        return batch

    def _after_step(self):
        if self.program.ema is not None:
            self._update_average()
        if self.program.scheduler and self.program.schedule_on == "batch":
            self.parts.scheduler.step()

    @torch.no_grad()
    def _update_average(self):
        momentum = self.program.ema
        trained = {each for group in self.optimizer.param_groups for each in group["params"]}
        for weight in self.module.parameters():
            if weight in self.average:
                self.average[weight].mul_(momentum).add_(weight, alpha=1 - momentum)
            elif weight in trained and weight.requires_grad:
                self.average[weight] = weight.clone()

    # -- the loss

    def _loss(self, outputs, y, weights):
        if weights is None:
            loss = self.case.call(outputs, y)
            return loss.mean() if loss.dim() else loss
        return self.case.numerator(outputs, y, weights) / self.case.divisor(outputs, y)

    def _joined_divisor(self, outputs, group):
        """Return the divisor of the joined batch."""
        if self.case.reduction == "sum":
            return 1.0
        one = outputs[:1].detach()
        return sum(
            self.case.divisor(one.expand(len(y), *one.shape[1:]), y) for _, y, _ in map(self._parts, group)
        )

    def _autocast(self):
        if self.program.amp is None:
            return contextlib.nullcontext()
        return torch.autocast("cpu", DTYPES[self.program.amp])

    def _parts(self, batch):
        x, y, *weights = batch
        if self.parts.class_weight is None:
            return x, y, weights[0] if weights else None
        table = torch.ones(int(y.max()) + 3, dtype=torch.float64)
        for label, weight in self.parts.class_weight.items():
            table[label] = weight
        return x, y, table[y]

    # -- measuring

    @torch.no_grad()
    def measure(self, batches):
        """Return loss and metrics in evaluation mode."""
        self.module.eval()
        accumulator = Totals(self)
        for batch in batches:
            x, y, *weights = batch
            with self._autocast():
                outputs = self.module(x)
                weights = weights[0] if weights else None
                accumulator.add(self._loss(outputs, y, weights), outputs, y, weights)
        return accumulator.results()

    @torch.no_grad()
    def predict(self, x, batch_size):
        """Return the outputs in evaluation mode."""
        self.module.eval()
        with self._autocast():
            return torch.cat([self.module(part) for part in torch.as_tensor(x).split(batch_size)])


class Totals:
    """Means over the samples of an epoch."""

    def __init__(self, loop: Loop) -> None:
        self._loss = self._samples = 0.0
        program = loop.program
        self._metrics = [ByHand(name, loop.case, False) for name in program.metrics]
        self._metrics += [ByHand(name, loop.case, True) for name in program.weighted_metrics]

    def add(self, loss, outputs, y, weights):
        """Count a batch."""
        self._loss += loss.item() * len(outputs)
        self._samples += len(outputs)
        for metric in self._metrics:
            metric.add(outputs.detach(), y, weights)

    def results(self):
        """Return the means."""
        return {"loss": self._loss / self._samples, **{each.name: each.result() for each in self._metrics}}


class Passes:
    """Epochs of a number of batches: each continues where the previous one ended.

    An epoch ends early where the data do, as in Keras; onstage warns.
    """

    def __init__(self, source) -> None:
        self.source = source
        self._pass = iter(())

    def epoch(self, steps):
        """Return the batches of one epoch."""
        batch = next(self._pass, None)
        if batch is None:
            self._pass = iter(self.source)
            batch = next(self._pass)
        yield batch
        yield from islice(self._pass, steps - 1)


def grouped(batches, size):
    """Return lists of a number of batches; the last may be shorter."""
    batches = iter(batches)
    while group := list(islice(batches, size)):
        yield group
