"""Losses of (outputs, targets), each with the formula of its reduction.

A loss of torch is ``sum(each) / divisor``: `LossCase.each` are the values
before the reduction, with class weights and zeros for ignored targets in them,
and the divisor depends on the reduction. Weights multiply the values of their
sample and leave the divisor, so that weights of one change nothing.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 4
IGNORED = -100


@dataclass
class LossCase:
    """One loss, as a user passes it, and its parts.

    Attributes
    ----------
    targets
        The kind of targets: see `torch_parts.targets`.
    given
        What `TorchModel` gets.
    call
        The same as a function.
    options
        Those of the function that computes `each`.
    reduction
        That of torch; or "own", the mean over the samples of a function of
        one's own, which takes no weights, or "own values", its values.
    """

    targets: str
    given: Any
    call: Any
    function: Any
    options: dict[str, Any]
    reduction: str

    @property
    def _options(self) -> dict[str, Any]:
        return {name: value for name, value in self.options.items() if name != "reduction"}

    @property
    def ignore_index(self) -> int | None:
        """The target that doesn't count, if the targets are class numbers."""
        if self.function not in (F.cross_entropy, F.nll_loss) or self.targets == "shares":
            return None
        return self.options.get("ignore_index", IGNORED)

    def numerator(self, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        """Return the sum of all values, each times the weight of its sample."""
        if self.reduction == "own":
            return self.call(outputs, targets) * len(outputs)
        if self.reduction == "own values":
            each = self.call(outputs, targets)
        else:
            each = self.function(outputs, targets, reduction="none", **self._options)
        if weights is not None:
            each = each * weights.to(each.dtype).reshape(-1, *[1] * (each.dim() - 1))
        return each.sum()

    def divisor(self, outputs: Tensor, targets: Tensor) -> float:
        """Return the divisor of the loss; for joined batches, the sum of divisors (but 1 for "sum")."""
        if self.reduction == "sum":
            return 1.0
        if self.reduction in ("own", "own values", "batchmean"):
            return float(len(outputs))
        if self.reduction == "none" or self.function not in (F.cross_entropy, F.nll_loss):
            return float(self.function(outputs, targets, reduction="none", **self._options).numel())
        if self.targets == "shares":
            return outputs.numel() / outputs.shape[1]
        counted = targets[targets != self.options.get("ignore_index", IGNORED)]
        weight = self.options.get("weight")
        return float(len(counted)) if weight is None else weight[counted].sum().item()


class Temperature(nn.Module):
    """Cross-entropy with a temperature that is learnt."""

    def __init__(self):
        super().__init__()
        self.log = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))

    def forward(self, outputs, targets):
        return F.cross_entropy(outputs * self.log.exp(), targets)


class Centres(nn.Module):
    """The distance to the centre of the sample's class; the centres are learnt."""

    def __init__(self):
        super().__init__()
        self.centres = nn.Parameter(torch.eye(CLASSES, dtype=torch.float64))

    def forward(self, outputs, targets):
        return (outputs - self.centres[targets]).square().sum(1)


class Focal(nn.CrossEntropyLoss):
    """A loss that is one of torch's by its class only: it takes the mean itself."""

    def forward(self, outputs, targets):
        each = F.cross_entropy(outputs, targets, reduction="none")
        return ((1 - (-each).exp()) ** 2 * each).mean()


def own_mean(outputs, targets):
    return (outputs - targets).abs().sqrt().mean()


def own_each(outputs, targets):
    return (outputs - targets).square().mean(1)


def _module(kind, targets, function, names, **choices):
    """Return a function that draws a loss module, each keyword from its values."""

    def draw(rng):
        drawn = {name: rng.choice(values) for name, values in choices.items()}
        drawn = {name: value for name, value in drawn.items() if value is not None}
        reduction = rng.choice(["mean", "mean", "sum", *names])
        given = kind(**drawn, reduction=reduction)
        return LossCase(targets, given, given, function, drawn, reduction)

    return draw


def _function(targets, function, names, **choices):
    """Return a function that draws a name, a function, or a partial of it."""

    def draw(rng):
        drawn = {name: rng.choice(values) for name, values in choices.items()}
        drawn = {name: value for name, value in drawn.items() if value is not None}
        reduction = rng.choice([None, "mean", "sum", *names])
        options = drawn if reduction is None else {**drawn, "reduction": reduction}
        given = partial(function, **options) if options else function
        by_name = not options and function in NAMED and rng.random() < 0.5
        reduction = reduction or "mean"
        return LossCase(targets, function.__name__ if by_name else given, given, function, drawn, reduction)

    return draw


def _own(targets, make, reduction="own"):
    def draw(rng):
        given = make()
        return LossCase(targets, given, given, given, {}, reduction)

    return draw


def _fixed(kind, targets, function, reduction="mean", **options):
    def make(rng):
        given = kind(**options, reduction=reduction)
        return LossCase(targets, given, given, function, dict(options), reduction)

    return make


def _partial(targets, function, **options):
    def make(rng):
        given = partial(function, **options)
        return LossCase(targets, given, given, function, dict(options), "mean")

    return make


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


NAMED = (
    *(F.binary_cross_entropy, F.binary_cross_entropy_with_logits, F.cross_entropy, F.nll_loss),
    *(F.huber_loss, F.l1_loss, F.mse_loss, F.smooth_l1_loss),
)
_CLASS_WEIGHT = (None, None, doubles(0.5, 1.0, 2.0, 0.25))
_IGNORE = (None, IGNORED, 2)
_SMOOTH = (0.0, 0.0, 0.1)
_NONE = ("none",)

MAKERS = {
    "mse": _module(nn.MSELoss, "values", F.mse_loss, _NONE),
    "l1": _module(nn.L1Loss, "values", F.l1_loss, _NONE),
    "huber": _module(nn.HuberLoss, "values", F.huber_loss, _NONE, delta=(0.5, 1.0)),
    "smooth_l1": _module(nn.SmoothL1Loss, "values", F.smooth_l1_loss, _NONE, beta=(0.5, 1.0)),
    "bce": _module(
        nn.BCELoss, "bits of chances", F.binary_cross_entropy, _NONE, weight=(None, doubles(0.5, 1, 2, 3))
    ),
    "bce_logits": _module(
        nn.BCEWithLogitsLoss,
        "bits",
        F.binary_cross_entropy_with_logits,
        _NONE,
        weight=(None, doubles(0.5, 1, 2, 3)),
        pos_weight=(None, doubles(2.0, 1, 0.5, 3)),
    ),
    "soft_margin": _module(nn.SoftMarginLoss, "signs", F.soft_margin_loss, _NONE),
    "hinge_embedding": _module(nn.HingeEmbeddingLoss, "signs", F.hinge_embedding_loss, _NONE),
    "multi_margin": _module(
        nn.MultiMarginLoss, "classes", F.multi_margin_loss, _NONE, weight=_CLASS_WEIGHT, p=(1, 2)
    ),
    "multi_label_soft_margin": _module(
        nn.MultiLabelSoftMarginLoss, "bits", F.multilabel_soft_margin_loss, _NONE, weight=_CLASS_WEIGHT
    ),
    "multi_label_margin": _module(nn.MultiLabelMarginLoss, "labels", F.multilabel_margin_loss, _NONE),
    "poisson": _module(
        nn.PoissonNLLLoss, "counts", F.poisson_nll_loss, _NONE, log_input=(True,), full=(False, True)
    ),
    "kl": _module(nn.KLDivLoss, "shares of logs", F.kl_div, ("batchmean", "batchmean"), log_target=(False,)),
    "kl_log": _module(nn.KLDivLoss, "logs of logs", F.kl_div, ("batchmean", "none"), log_target=(True,)),
    "cross_entropy": _module(
        nn.CrossEntropyLoss,
        "classes",
        F.cross_entropy,
        _NONE,
        weight=_CLASS_WEIGHT,
        ignore_index=_IGNORE,
        label_smoothing=_SMOOTH,
    ),
    "cross_entropy_shares": _module(
        nn.CrossEntropyLoss, "shares", F.cross_entropy, _NONE, weight=_CLASS_WEIGHT, label_smoothing=_SMOOTH
    ),
    "nll": _module(
        nn.NLLLoss, "classes of logs", F.nll_loss, _NONE, weight=_CLASS_WEIGHT, ignore_index=_IGNORE
    ),
    "mse function": _function("values", F.mse_loss, _NONE),
    "huber function": _function("values", F.huber_loss, (), delta=(None, 0.5)),
    "bce function": _function("bits of chances", F.binary_cross_entropy, ()),
    "bce_logits function": _function(
        "bits", F.binary_cross_entropy_with_logits, _NONE, pos_weight=(None, doubles(2.0, 1, 0.5, 3))
    ),
    "cross_entropy function": _function(
        "classes",
        F.cross_entropy,
        _NONE,
        weight=_CLASS_WEIGHT,
        ignore_index=_IGNORE,
        label_smoothing=(None, 0.1),
    ),
    "nll function": _function("classes of logs", F.nll_loss, (), ignore_index=_IGNORE),
    "kl function": _function("shares of logs", F.kl_div, ("batchmean",)),
    "poisson function": _function("counts", F.poisson_nll_loss, ()),
    "mse sum": _fixed(nn.MSELoss, "values", F.mse_loss, "sum"),
    "kl batchmean": _fixed(nn.KLDivLoss, "shares of logs", F.kl_div, "batchmean"),
    "class weights": _fixed(nn.CrossEntropyLoss, "classes", F.cross_entropy, weight=doubles(0.5, 1, 2, 0.25)),
    "ignored": _fixed(nn.CrossEntropyLoss, "classes", F.cross_entropy, ignore_index=IGNORED),
    "pos_weight partial": _partial(
        "bits", F.binary_cross_entropy_with_logits, pos_weight=doubles(2, 1, 0.5, 3)
    ),
    "ignored partial": _partial("classes", F.cross_entropy, ignore_index=IGNORED),
    "own mean": _own("values", lambda: own_mean),
    "own values": _own("values", lambda: own_each, "own values"),
    "temperature": _own("classes", Temperature),
    "focal": _own("classes", Focal),
    "centres": _own("classes", Centres, "own values"),
}
"""By a name: a function of a `random.Random` that draws one `LossCase`."""

FOR_TOKENS = (
    *("cross_entropy", "nll", "cross_entropy function", "class weights", "ignored", "ignored partial"),
    *("mse", "bce_logits", "kl_log", "kl batchmean"),
)
"""Those that a module of one output for each token can be trained with."""
