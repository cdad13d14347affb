"""Random trainings as plain data, each made from an integer seed.

A program names layers, losses, optimizers and metrics as onstage and Keras both
do, so that `training.run` makes either library's objects of it.

What can't be made equal is left out, with the reason where it would stand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import stacks


class Make(NamedTuple):
    """An object to be made: a class by its name in a module of both libraries."""

    module: str
    name: str
    options: dict[str, Any]


@dataclass
class Phase:
    """One call of fit, and what happens before it."""

    trainable: dict[int, bool]
    """Flags to set, by the layer's number."""
    compile: str | None
    """``"new"`` optimizer, the ``"same"``, or None: not compiled again."""
    options: dict[str, Any] = field(default_factory=dict)
    learning_rate: float | None = None
    """Learning rate to set; None keeps it."""

    def arguments(self, data: tuple[Any, ...]) -> dict[str, Any]:
        """Return the arguments of fit; ``validation_data`` in `options` is a number of rows, or arrays."""
        rows = self.options.get("validation_data")
        if not isinstance(rows, int):
            return self.options
        part = tuple(each[:rows] for each in data if each is not None)
        return self.options | {"validation_data": part}


@dataclass
class Program:
    """A model, its data, and the calls to make one after another."""

    seed: int
    input_shape: tuple[int, ...]
    layers: list[Make]
    loss: str | Make
    optimizer: Make
    metrics: list[str | Make]
    weighted_metrics: list[str | Make]
    x: Any = field(repr=False)
    y: Any = field(repr=False)
    sample_weight: Any = field(repr=False)
    phases: list[Phase] = field(default_factory=list)
    evaluate: dict[str, Any] = field(default_factory=dict)
    predict: dict[str, Any] = field(default_factory=dict)


class Draw:
    """Draws from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def one(self, *of: Any) -> Any:
        return of[int(self.rng.integers(len(of)))]

    def some(self, *of: Any) -> list[Any]:
        return [each for each in of if self.rng.random() < 0.4]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def between(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def normal(self, *shape: int) -> Any:
        return self.rng.normal(size=shape)


def program(seed: int) -> Program:
    """Make the program of a seed."""
    draw = Draw(seed)
    target = draw.one("real", "binary", "several", "one hot", "classes", "classes in columns")
    width = 1 if target == "binary" else draw.between(2, 5)
    n = draw.between(3, 45)
    x, input_shape, layers, steps = stacks.stack(draw, n, Make)
    loss, last = _loss(draw, target)
    layers.append(Make("layers", "Dense", {"units": width, "activation": last, **_penalties(draw)}))
    y = _targets(draw, target, (n, *steps), width)
    weights = draw.rng.random(n) * 2 if draw.chance(0.4) else None
    if steps and weights is not None:
        weights = weights[:, None]
    probabilities = last in ("sigmoid", "softmax")
    made = Program(
        seed,
        input_shape,
        layers,
        loss,
        _optimizer(draw),
        *(_metrics(draw, target, probabilities, steps) for _ in range(2)),
        x,
        y,
        weights,
    )
    for number, layer in enumerate(layers):
        if draw.chance(0.15):
            layers[number] = layer._replace(options=layer.options | {"trainable": False})
    made.phases = _phases(draw, made, n, classes=0 if steps or not target.startswith("classes") else width)
    made.evaluate = _batches(draw, n)
    made.predict = _batches(draw, n)
    return made


def _penalties(draw: Draw) -> dict[str, Any]:
    if not draw.chance(0.4):
        return {}
    l1l2 = Make("regularizers", "L1L2", {"l1": 0.01, "l2": 0.02})
    return {"kernel_regularizer": draw.one("l1", "l2", l1l2), "bias_regularizer": draw.one(None, "l2")}


def _targets(draw: Draw, target: str, shape: tuple[int, ...], width: int) -> Any:
    labels = draw.rng.integers(width, size=shape)
    return {
        "real": draw.normal(*shape, width),
        "binary": draw.rng.integers(2, size=(*shape, 1)).astype(float),
        "several": draw.rng.integers(2, size=(*shape, width)).astype(float),
        "one hot": np.eye(width)[labels],
        "classes": labels,
        "classes in columns": labels[..., None],
    }[target]


def _loss(draw: Draw, target: str) -> tuple[str | Make, str]:
    """Draw a loss that fits the targets, and the last activation."""
    smooth = {"label_smoothing": draw.one(0.0, 0.1, 0.3)}

    def entropy(name: str, last: str, **options: Any) -> list[tuple[str | Make, str]]:
        snake = {"Binary": "binary", "Categorical": "categorical", "Sparse": "sparse_categorical"}
        full = "SparseCategorical" if name == "Sparse" else name
        made = Make("losses", f"{full}Crossentropy", {"from_logits": True, **options})
        return [
            (f"{snake[name]}_crossentropy", last),
            (Make("losses", f"{full}Crossentropy", options), draw.one(last, "sigmoid")),
            (made, draw.one("linear", "tanh")),
        ]

    elements: list[tuple[str | Make, str]] = [
        ("mse", draw.one("linear", "tanh", "sigmoid")),
        ("mean_absolute_error", draw.one("linear", "softplus")),
        (Make("losses", "Huber", {"delta": draw.one(0.3, 1.0)}), "linear"),
        (draw.one("log_cosh", "cosine_similarity"), draw.one("linear", "tanh")),
    ]
    shares: list[tuple[str | Make, str]] = [("kl_divergence", "softmax"), ("categorical_hinge", "softmax")]
    counts: list[tuple[str | Make, str]] = [("poisson", "softplus"), ("msle", "sigmoid")]
    choices = {
        "real": elements,
        "binary": [*elements, ("hinge", "tanh"), *entropy("Binary", "sigmoid", **smooth)],
        "several": [
            *elements,
            *counts,
            (draw.one("hinge", "squared_hinge"), "linear"),
            *entropy("Binary", "sigmoid", **smooth),
        ],
        "one hot": [*elements[:1], *shares, *entropy("Categorical", "softmax", **smooth)],
        "classes": entropy("Sparse", "softmax"),
        "classes in columns": entropy("Sparse", "softmax"),
    }[target]
    return draw.one(*choices)


def _optimizer(draw: Draw) -> Make:
    name = draw.one("SGD", "RMSprop", "Adam", "AdamW", "Adagrad")
    rate: Any = draw.one(0.01, 0.05)
    if draw.chance(0.3):
        rate = draw.one(
            Make("schedules", "ExponentialDecay", {"decay_steps": 3, "decay_rate": 0.8, "staircase": True}),
            Make("schedules", "CosineDecay", {"decay_steps": 7, "alpha": 0.1}),
            Make("schedules", "PolynomialDecay", {"decay_steps": 5, "power": 2.0, "cycle": draw.chance(0.5)}),
        )
        rate = rate._replace(options={"initial_learning_rate": 0.05, **rate.options})
        if draw.chance(0.3):
            rate = Make(
                "schedules", "PiecewiseConstantDecay", {"boundaries": [2, 5], "values": [0.05, 0.02, 0.01]}
            )
    options: dict[str, Any] = {"learning_rate": rate}
    options |= {
        "SGD": {"momentum": draw.one(0.0, 0.8), "nesterov": draw.chance(0.5)},
        "RMSprop": {"momentum": draw.one(0.0, 0.5), "centered": draw.chance(0.5), "rho": 0.8},
        "Adam": {"amsgrad": draw.chance(0.5), "beta_2": draw.one(0.9, 0.999)},
        "AdamW": {"beta_1": draw.one(0.8, 0.9)},
        "Adagrad": {"initial_accumulator_value": 0.2},
    }[name]
    if draw.chance(0.3):
        options["weight_decay"] = 0.05
    if draw.chance(0.4):
        options[draw.one("clipnorm", "clipvalue", "global_clipnorm")] = draw.one(0.05, 0.5)
    if draw.chance(0.25):
        options |= {"use_ema": True, "ema_momentum": draw.one(0.5, 0.9)}
        options["ema_overwrite_frequency"] = draw.one(None, 3)
    return Make("optimizers", name, options)


def _metrics(draw: Draw, target: str, probabilities: bool, steps: tuple[int, ...]) -> list[str | Make]:
    def metric(kind: str, **options: Any) -> Make:
        return Make("metrics", kind, options)

    elements = ["mse", "mae", metric("RootMeanSquaredError"), metric("MeanSquaredError", name="mine")]
    elements += [] if steps else [metric("R2Score"), metric("CosineSimilarity"), "msle"]
    if target == "real":
        return draw.some(*elements)
    if steps:
        entropies = {"binary": "binary", "several": "binary", "one hot": "categorical"}
        entropy = f"{entropies.get(target, 'sparse_categorical')}_crossentropy"
        return draw.some("accuracy", *([entropy] if probabilities else []))
    # Not "recall" beside Recall(): Keras writes the value of one over the other's.
    counts = [metric("Recall"), metric("Precision", thresholds=0.4)] if probabilities else []
    area = [metric("AUC", num_thresholds=20)] if probabilities else []
    return draw.some(
        "accuracy",
        *{
            "binary": [*elements, *counts, *area, "binary_crossentropy"],
            "several": [*elements, *counts, *area, metric("BinaryAccuracy", threshold=0.3)],
            "one hot": [
                *elements,
                *counts,
                metric("TopKCategoricalAccuracy", k=2),
                metric("F1Score", average="macro") if probabilities else "mse",
                "categorical_crossentropy" if probabilities else "mae",
            ],
        }.get(
            target,
            [
                metric("SparseTopKCategoricalAccuracy", k=2),
                *(["sparse_categorical_crossentropy"] if probabilities else []),
            ],
        ),
    )


def _batches(draw: Draw, n: int, steps: str = "steps") -> dict[str, Any]:
    options: dict[str, Any] = {}
    if draw.chance(0.6):
        options["batch_size"] = draw.between(1, n + 3)
    if draw.chance(0.4):
        options[steps] = draw.between(1, 4)
    return options


def _phases(draw: Draw, made: Program, n: int, classes: int) -> list[Phase]:
    known = [each.options.get("trainable", True) for each in made.layers]
    now = list(known)
    phases = []
    for number in range(draw.between(1, 3)):
        compile_again = draw.one(None, "new", "same") if number else "new"
        flags: dict[int, bool] = {}
        # Keras can't train a variable that its optimizer wasn't built with, and with an average it
        # can't leave one out: then the layers stay as they are, unless the optimizer is new.
        free = number and (compile_again == "new" or not made.optimizer.options.get("use_ema"))
        for layer in range(len(made.layers)):
            if free and draw.chance(0.3) and (compile_again == "new" or known[layer]):
                flags[layer] = now[layer] = not now[layer]
        if compile_again == "new":
            known = list(now)
        rate = None
        if number and draw.chance(0.2) and isinstance(made.optimizer.options["learning_rate"], float):
            rate = 0.02
        phases.append(Phase(flags, compile_again, _fit(draw, made, n, classes), rate))
    return phases


def _fit(draw: Draw, made: Program, n: int, classes: int) -> dict[str, Any]:
    options = _batches(draw, n, "steps_per_epoch") | {"epochs": draw.between(1, 3)}
    if classes and made.sample_weight is None and draw.chance(0.4):
        options["class_weight"] = {label: 0.5 + label for label in range(classes - 1)}
    if draw.chance(0.3):
        options["validation_split"] = draw.one(0.2, 0.4)
    elif draw.chance(0.4):
        options["validation_data"] = n // 2 + 1
        options |= _batches(draw, n, "validation_steps") if "batch_size" not in options else {}
        options["validation_batch_size"] = draw.one(None, 2)
    # If no epoch is left, Keras writes an average over the weights that was never begun: zeros.
    if draw.chance(0.2) and options["epochs"] > 1:
        options |= {"initial_epoch": 1, "validation_freq": draw.one(2, [2, 3])}
    return options
