"""Run a program with each library, and compare the results."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from programs import Make, Program

TOLERANCE = 1e-6


def make(given: Any, home: Any) -> Any:
    """Return a library's object for a name in a program."""
    if isinstance(given, Make):
        options = {name: make(each, home) for name, each in given.options.items()}
        return getattr(getattr(home, given.module), given.name)(**options)
    return given


def run(program: Program, home: Any) -> dict[str, Any]:
    """Run a program, and return all its results by name.

    Parameters
    ----------
    home
        ``layers``, ``losses``, ``metrics``, ``optimizers``, ``schedules``,
        ``regularizers``, ``sequential(layers)``, all in float64, and
        ``count_names_anew()``.
    """
    layers = [home.layers.Input(program.input_shape), *(make(each, home) for each in program.layers)]
    model = home.sequential(layers)
    _set_weights(model, program.seed)
    results: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both warn if data has run out, or nothing trains
        for number, phase in enumerate(program.phases):
            for layer, flag in phase.trainable.items():
                model.layers[layer].trainable = flag
            if phase.compile:
                home.count_names_anew()
                optimizer = make(program.optimizer, home) if phase.compile == "new" else model.optimizer
                model.compile(
                    optimizer,
                    make(program.loss, home),
                    metrics=[make(each, home) for each in program.metrics],
                    weighted_metrics=[make(each, home) for each in program.weighted_metrics],
                )
            if phase.learning_rate is not None:
                model.optimizer.learning_rate = phase.learning_rate
            weights = program.sample_weight
            history = model.fit(
                program.x,
                program.y,
                sample_weight=weights,
                shuffle=False,
                verbose=0,
                **phase.arguments((program.x, program.y, weights)),
            )
            results |= {f"fit {number}: {name}": values for name, values in history.history.items()}
            results |= {f"fit {number}: weight {k}": w for k, w in enumerate(model.get_weights())}
        logs = model.evaluate(
            program.x, program.y, sample_weight=weights, verbose=0, return_dict=True, **program.evaluate
        )
        results |= {f"evaluate: {name}": value for name, value in logs.items()}
        results["predict"] = model.predict(program.x, verbose=0, **program.predict)
    return results


def _set_weights(model: Any, seed: int) -> None:
    """Draw the weights, small enough that no probability comes near 0 or 1.

    There Keras's cross-entropies clip it at 1e-7 and have no gradient; onstage's work on
    the logits, and are exact. That difference is wanted, and left out here.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for name, shape in [(each.name, tuple(each.shape)) for each in model.weights]:
        scale = 0.7 / np.sqrt(np.prod(shape[:-1])) if len(shape) > 1 else 0.4
        drawn.append(rng.uniform(0.5, 1.5, shape) if "variance" in name else rng.normal(0, scale, shape))
    model.set_weights(drawn)


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Return the differences above the tolerance."""
    if set(ours) != set(theirs):
        return [
            f"only ours: {sorted(set(ours) - set(theirs))}, only Keras's: {sorted(set(theirs) - set(ours))}"
        ]
    found = []
    for name, expected in theirs.items():
        own, expected = np.asarray(ours[name], float), np.asarray(expected, float)
        if own.shape != expected.shape:
            found.append(f"{name}: shape {own.shape}, Keras's {expected.shape}")
        elif not np.allclose(own, expected, TOLERANCE, TOLERANCE, equal_nan=True):
            found.append(f"{name}: off by {np.max(np.abs(own - expected)):.3g}")
    return found
