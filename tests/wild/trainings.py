"""One small training in each column, and everything that can be compared of it."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import os
import re
import tempfile
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import libraries
import numpy as np

COLUMNS = ("keras", "keras2", "numpy", "torch")
BATCH, STEPS = 8, 6
_rng = np.random.default_rng(3)
X, X_VAL = (_rng.normal(size=(n, 4)).astype("float32") for n in (BATCH * STEPS, 16))
_noise = [_rng.normal(size=len(x)) for x in (X, X_VAL)]
Y, Y_VAL = (
    (x[:, :1] - x[:, 1:2] + each[:, None] > 0).astype("float32")
    for x, each in zip((X, X_VAL), _noise, strict=True)
)
SIZES = (4, 8, 4, 1)
WEIGHTS = [
    each.astype("float32")
    for d_in, d_out in itertools.pairwise(SIZES)
    for each in (_rng.normal(size=(d_in, d_out)) / np.sqrt(d_in), np.zeros(d_out))
]


@dataclass
class Outcome:
    """What one column shows of a training."""

    error: BaseException | None = None
    rates: list[float] = field(default_factory=list)
    batches: list[dict[str, float]] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)
    epochs: list[int] = field(default_factory=list)
    printed: str = ""
    kept: Any = None
    files: dict[str, Any] = field(default_factory=dict)
    weights: list[float] = field(default_factory=list)


class Probe:
    """Records rate and logs of each batch; a callback of its library, last in the list."""

    def __init__(self, base: type) -> None:
        self.rates: list[float] = []
        self.batches: list[dict[str, float]] = []

        class Rates(base):
            def on_train_batch_begin(_, batch, logs=None):
                self.rates.append(read_rate(_.model))

            def on_train_batch_end(_, batch, logs=None):
                self.batches.append({"batch": batch, **logs})

            def on_test_batch_end(_, batch, logs=None):
                self.batches.append({"test batch": batch, **logs})

        self.callback = Rates()


def read_rate(model: Any) -> float:
    """Return the learning rate of a model of any column."""
    owner = model.optimizer if hasattr(model.optimizer, "learning_rate") else model
    return float(owner.learning_rate)


def run(column: str, case: Any) -> Outcome:
    """Train with the callbacks of a case, in an empty folder; keep the first error."""
    outcome, printed = Outcome(), io.StringIO()
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        _choose_warnings(column)
        os.chdir(folder)
        try:
            with contextlib.redirect_stdout(printed):
                _train(column, case, outcome)
        except Exception as error:
            outcome.error = error
        finally:
            os.chdir(before)
        outcome.files = _files(Path(folder))
    outcome.printed = re.sub(case.mask, "…", printed.getvalue()) if case.mask else printed.getvalue()
    return outcome


def reference(case: Any) -> Outcome:
    """Return the outcome in Keras 3 with the names of Keras 2."""
    if case.reference is None:
        return run("keras2", case)
    outcome = run("keras2", replace(case, make=case.reference, kept=lambda callbacks: None))
    outcome.printed = case.printed or ""
    return outcome


def _choose_warnings(column: str) -> None:
    if column in ("numpy", "torch"):
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        return
    warnings.simplefilter("ignore")  # Keras and torch warn about themselves


def _train(column: str, case: Any, outcome: Outcome) -> None:
    library = "onstage" if column in ("numpy", "torch") else column
    module = libraries.load(case.module, library)
    model = MODELS[column](case)
    callbacks = case.make(module, model)
    probe = Probe(module.__dict__.get("Callback") or _base(library))
    options = {"batch_size": BATCH, "epochs": case.epochs, "verbose": 0, "shuffle": False}
    try:
        model.fit(
            X,
            Y,
            validation_data=(X_VAL, Y_VAL),
            callbacks=_listed(column, model, [*callbacks, probe.callback], case),
            **options,
        )
    finally:
        outcome.rates, outcome.batches = probe.rates, probe.batches
        if hasattr(getattr(model, "history", None), "epoch"):
            outcome.history = {
                name: [float(each) for each in values] for name, values in model.history.history.items()
            }
            outcome.epochs = list(model.history.epoch)
    outcome.weights = sorted(float(np.linalg.norm(each)) for each in model.get_weights())
    outcome.kept = case.kept(callbacks)


def _base(library: str) -> type:
    if library == "onstage":
        from onstage import Callback

        return Callback
    import keras

    return keras.callbacks.Callback


def _listed(column: str, model: Any, callbacks: list[Any], case: Any) -> Any:
    """Return the callbacks; for the reference with the parameters and data that Keras 2 gave them."""
    if column != "keras2":
        return callbacks
    import keras

    for each in callbacks:
        if not hasattr(each, "validation_data"):
            each.validation_data = [X_VAL, Y_VAL, np.ones(len(X_VAL))]
    return keras.callbacks.CallbackList(
        callbacks,
        add_history=True,
        model=model,
        epochs=case.epochs,
        steps=STEPS,
        verbose=0,
        batch_size=BATCH,
        samples=len(X),
        do_validation=True,
        metrics=["loss", "accuracy", "val_loss", "val_accuracy"],
    )


def _files(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or path.is_symlink() or "tfevents" in name or path.name in ("best", "latest"):
            continue  # ModelCheckpoint keeps two pointers beside its files
        found[name] = None
        if path.suffix == ".csv":
            with path.open(newline="") as file:
                found[name] = [dict(sorted(row.items())) for row in csv.DictReader(file)]
        elif path.suffix == ".jsonl":
            found[name] = [json.loads(line) for line in path.read_text().splitlines()]
    return found


def _keras(case: Any, sgd: Any = None) -> Any:
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((SIZES[0],)),
            layers.Dense(SIZES[1], activation="relu", name="hidden"),
            layers.Dense(SIZES[2], activation="relu", name="features"),
            layers.Dense(SIZES[3], activation="sigmoid", name="head"),
        ],
        name="wild",
    )
    optimizer = (sgd or keras.optimizers.SGD)(case.learning_rate, momentum=case.momentum)
    model.compile(optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    model.set_weights(WEIGHTS)
    return model


def _keras2(case: Any) -> Any:
    return _keras(case, libraries.keras2_sgd())


def _numpy(case: Any) -> Any:
    from onstage import keras

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((SIZES[0],)),
            layers.Dense(SIZES[1], activation="relu", name="hidden"),
            layers.Dense(SIZES[2], activation="relu", name="features"),
            layers.Dense(SIZES[3], activation="sigmoid", name="head"),
        ],
        name="wild",
    )
    model.compile(
        keras.optimizers.SGD(case.learning_rate, momentum=case.momentum),
        loss="binary_crossentropy",
        metrics=["accuracy"],
    )
    model.set_weights(WEIGHTS)
    return model


def _torch(case: Any) -> Any:
    import torch
    from onstage_torch import TorchModel
    from torch import nn

    class Wild(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.features, self.head = (nn.Linear(*pair) for pair in itertools.pairwise(SIZES))

        def forward(self, x):
            return torch.sigmoid(self.head(torch.relu(self.features(torch.relu(self.hidden(x))))))

    model = TorchModel(
        Wild(),
        lambda parameters: torch.optim.SGD(parameters, lr=case.learning_rate, momentum=case.momentum),
        nn.BCELoss(),
        metrics=["accuracy"],
    )
    model.set_weights([each.T for each in WEIGHTS])
    return model


MODELS = {"keras": _keras, "keras2": _keras2, "numpy": _numpy, "torch": _torch}
