"""Modules, data, optimizers and schedulers of random programs, drawn from equal seeds."""

import numpy as np
import torch
from torch import nn
from torch.optim import lr_scheduler as schedules
from torch.utils.data import DataLoader, TensorDataset
from torch_losses import CLASSES

TOKENS = 3
"""In a sequence; not the number of classes, so that no layout fits by chance."""

WORDS = 7


class Net(nn.Module):
    """A body, which may be frozen or added later, and a head.

    Parameters
    ----------
    kind
        "mlp", "dropout", "norm" (convolution, batch normalisation), or
        "tokens": one output for each token.
    end
        "", "sigmoid" or "log_softmax".
    classes_first
        Whether the outputs for tokens have shape (n, classes, tokens).
    """

    def __init__(self, kind: str, end: str, classes_first: bool) -> None:
        super().__init__()
        self.kind, self.end, self.classes_first = kind, end, classes_first
        self.body: nn.Module
        if kind == "tokens":
            self.body = nn.Sequential(nn.Embedding(WORDS, 5), nn.Tanh())
            width = 5
        elif kind == "norm":
            self.body = nn.Sequential(
                nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 3, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Flatten()
            )
            width = 12
        else:
            drop = nn.Dropout(0.4 if kind == "dropout" else 0.0)
            self.body = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), drop, nn.LayerNorm(8))
            width = 8
        self.head = nn.Sequential(nn.Linear(width, 6), nn.ReLU(), nn.Linear(6, CLASSES))

    def forward(self, x):
        outputs = self.head(self.body(x))
        if self.end:
            outputs = outputs.sigmoid() if self.end == "sigmoid" else outputs.log_softmax(-1)
        return outputs.movedim(-1, 1) if self.classes_first else outputs


def inputs(rng: np.random.Generator, kind: str, n: int):
    """Return n samples for a `Net`."""
    return rng.integers(0, WORDS, (n, TOKENS)) if kind == "tokens" else rng.normal(size=(n, 6))


def targets(rng: np.random.Generator, kind: str, shape: tuple[int, ...]):
    """Return targets of a kind for samples of shape ``(n,)`` or ``(n, tokens)``."""
    match kind.split(" of ")[0]:
        case "values":
            return rng.normal(size=(*shape, CLASSES))
        case "bits":
            return rng.integers(0, 2, (*shape, CLASSES)).astype(np.float64)
        case "signs":
            return rng.choice([-1.0, 1.0], (*shape, CLASSES))
        case "counts":
            return rng.poisson(2.0, (*shape, CLASSES)).astype(np.float64)
        case "classes":
            return rng.integers(0, CLASSES, shape)
        case "labels":
            return np.stack([_labels(rng) for _ in range(shape[0])])
        case "shares":
            return rng.dirichlet(np.ones(CLASSES), shape)
        case "logs":
            return np.log(rng.dirichlet(np.ones(CLASSES), shape))
    raise ValueError(f"kind must be one of those above, got {kind!r}")


def _labels(rng: np.random.Generator):
    """Return the numbers of a few classes, ended by -1."""
    some = rng.permutation(CLASSES)[: rng.integers(1, CLASSES)]
    return np.concatenate([some, np.full(CLASSES - len(some), -1)])


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.02),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.02, amsgrad=True, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.02, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5, eps=1e-6),
    # With an eps of 1e-10 it would make a step of the rounding of a gradient that is zero.
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05, eps=1e-6),
    "maximize": lambda p: torch.optim.SGD(p, lr=0.001, maximize=True),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
}

LINEAR = ("sgd", "momentum", "nesterov")
"""Those whose steps are in proportion to gradients: rounding stays small."""

SCHEDULERS = {
    "exponential": lambda o: schedules.ExponentialLR(o, 0.8),
    "step": lambda o: schedules.StepLR(o, 2, 0.5),
    "cosine": lambda o: schedules.CosineAnnealingLR(o, 5),
    "restarts": lambda o: schedules.CosineAnnealingWarmRestarts(o, 2),
    "lambda": lambda o: schedules.LambdaLR(o, lambda step: 1 / (1 + step)),
    "sequential": lambda o: schedules.SequentialLR(
        o, [schedules.LinearLR(o, 0.5, total_iters=2), schedules.ExponentialLR(o, 0.9)], [2]
    ),
    "one_cycle": lambda o: schedules.OneCycleLR(o, 0.01, total_steps=200, cycle_momentum=False),
}


def as_fed(form: str, parts: list, batch_size: int, *, drop_last: bool, seed: int, batches: np.ndarray):
    """Return data in one of the forms that fit takes: ``(x, keywords)``.

    Parameters
    ----------
    form
        "arrays", "tensors", "dataset", "batches" (a list of unequal ones), or
        "loader" (in order), "shuffled" (by a generator of its own), "global"
        (by torch's).
    parts
        x, y and perhaps sample weights.
    batches
        Where batches of a list are cut.
    """
    tensors = [torch.from_numpy(part) for part in parts]
    if form in ("arrays", "tensors"):
        x, y, *weights = tensors if form == "tensors" else parts
        return x, {"y": y, "batch_size": batch_size, "sample_weight": weights[0] if weights else None}
    if form == "batches":
        cuts = [torch.tensor_split(part, torch.from_numpy(batches)) for part in tensors]
        return list(zip(*cuts, strict=True)), {}
    dataset = TensorDataset(*tensors)
    if form == "dataset":
        return dataset, {"batch_size": batch_size}
    own = torch.Generator().manual_seed(seed) if form == "shuffled" else None
    shuffle = form in ("shuffled", "global")
    return DataLoader(dataset, batch_size, shuffle=shuffle, drop_last=drop_last, generator=own), {}


def batches_of(fed, keywords):
    """Return what a loop over the same data iterates: an iterable of batches of tensors."""
    if isinstance(fed, TensorDataset):
        return DataLoader(fed, keywords["batch_size"])
    if not keywords:
        return fed
    parts = [fed, keywords["y"], keywords["sample_weight"]]
    tensors = [torch.as_tensor(part) for part in parts if part is not None]
    return list(zip(*(part.split(keywords["batch_size"]) for part in tensors), strict=True))
