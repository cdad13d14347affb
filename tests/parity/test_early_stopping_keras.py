"""EarlyStopping makes the same decisions as Keras's, epoch by epoch, on random metrics."""

import math
import os

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

from onstage_early_stopping import EarlyStopping  # noqa: E402  # after the backend is chosen

from onstage import Sequential, layers, optimizers  # noqa: E402

EXAMPLES = int(os.environ.get("ONSTAGE_PARITY_EXAMPLES", "300"))

# Keras compares in float32, in which eighths are exact too.
eighths = st.integers(-16, 16).map(lambda n: n / 8)
metrics = st.lists(st.one_of(eighths, eighths, st.just(math.nan), st.none()), min_size=1, max_size=14)
options = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(["auto", "min", "max"]),
        "min_delta": st.integers(0, 4).map(lambda n: n / 8),
        "patience": st.integers(0, 4),
        "restore_best_weights": st.booleans(),
        "start_from_epoch": st.integers(0, 4),
    }
)


class Dummy:
    """A model with everything that Keras's callback needs; its weights are the epoch."""

    def __init__(self):
        self.stop_training = False
        self.weights = -1.0

    def get_weights(self):
        return [self.weights]

    def set_weights(self, weights):
        (self.weights,) = weights


class NaNsMended(keras.callbacks.EarlyStopping):
    """Keras's, except that a NaN never becomes the best: a deliberate difference."""

    def _is_improvement(self, value, reference):
        return not math.isnan(value) and bool(super()._is_improvement(value, reference))


def start_training(callback):
    model = Dummy()
    callback.set_model(model)
    callback.on_train_begin()
    return callback, model


def logs_of(value):
    return {"other": 1.0} if value is None else {"val_loss": value, "other": 1.0}


def decisions(callback):
    return {
        "stopped": callback.model.stop_training,
        "stopped_epoch": callback.stopped_epoch,
        "wait": callback.wait,
        "best": callback.best,
        "best_epoch": callback.best_epoch,
        "best_weights": callback.best_weights,
    }


def compare(values, options, twin):
    ours, our_model = start_training(EarlyStopping(**options))
    theirs, their_model = start_training(twin(**options))
    for epoch, value in enumerate(values):
        our_model.weights = their_model.weights = float(epoch)
        ours.on_epoch_end(epoch, logs_of(value))
        theirs.on_epoch_end(epoch, logs_of(value))
        expected = decisions(theirs)
        if theirs.best is None:
            # Deliberate difference: weights before the first improvement are not kept as the best.
            expected |= {"best_weights": None, "best_epoch": 0}
        assert decisions(ours) == expected
        if our_model.stop_training:
            break
    ours.on_train_end()
    theirs.on_train_end()
    if theirs.best is not None:
        assert our_model.weights == their_model.weights


def has_leading_nan(values, start):
    seen = [value for value in values[start:] if value is not None]
    return bool(seen) and math.isnan(seen[0])


@pytest.mark.filterwarnings("ignore:EarlyStopping watches")
@settings(max_examples=EXAMPLES, deadline=None)
@given(metrics, options)
@example([3.0, 1.0, 1.0, 1.0], {"patience": 2, "restore_best_weights": True})
def test_every_decision_is_the_same_as_in_keras(values, options):
    leading_nan = has_leading_nan(values, options.get("start_from_epoch", 0))

    compare(values, options, NaNsMended if leading_nan else keras.callbacks.EarlyStopping)


@pytest.mark.filterwarnings("ignore:EarlyStopping watches")
@settings(max_examples=EXAMPLES, deadline=None)
@given(metrics.filter(lambda values: not has_leading_nan(values, 0)), options, eighths)
def test_with_a_baseline_only_a_run_that_never_exceeds_it_ends_earlier(values, options, baseline):
    options = {**options, "start_from_epoch": 0, "baseline": baseline}
    ours, our_model = start_training(EarlyStopping(**options))
    theirs, their_model = start_training(keras.callbacks.EarlyStopping(**options))
    sign = -1 if options["mode"] == "max" else 1
    for epoch, value in enumerate(values):
        our_model.weights = their_model.weights = float(epoch)
        waited, best = theirs.wait, theirs.best
        ours.on_epoch_end(epoch, logs_of(value))
        theirs.on_epoch_end(epoch, logs_of(value))
        if our_model.stop_training and not their_model.stop_training:
            # Deliberate difference, as Keras documents it: better than the best but not the baseline.
            better = best is None or sign * value + options["min_delta"] < sign * best
            assert better
            assert not sign * value + options["min_delta"] < sign * baseline
            assert waited + 1 >= options["patience"]
            return
        assert decisions(ours) == decisions(theirs)
        if our_model.stop_training:
            return


RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3)).astype("float32")
Y = RNG.normal(size=(24, 1)).astype("float32")
KERNELS = [RNG.normal(size=shape).astype("float32") for shape in ((3, 4), (4,), (4, 1), (1,))]


@pytest.mark.parametrize("patience", [1, 3])
@pytest.mark.parametrize("restore", [False, True])
def test_a_real_fit_stops_in_the_same_epoch_with_the_same_weights(patience, restore):
    def fit(library, callback, optimizer):
        inside = library.layers
        model = library.Sequential([inside.Input((3,)), inside.Dense(4, activation="tanh"), inside.Dense(1)])
        model.compile(optimizer(0.3), loss="mse")
        model.set_weights(KERNELS)
        model.fit(
            X,
            Y,
            batch_size=8,
            epochs=40,
            validation_split=0.5,
            shuffle=False,
            verbose=0,
            callbacks=[callback],
        )
        return model.get_weights()

    class Onstage:
        Sequential, layers = Sequential, layers

    options = {"patience": patience, "restore_best_weights": restore}
    ours, theirs = EarlyStopping(**options), keras.callbacks.EarlyStopping(**options)

    our_weights = fit(Onstage, ours, optimizers.SGD)
    their_weights = fit(keras, theirs, keras.optimizers.SGD)

    assert 0 < ours.stopped_epoch == theirs.stopped_epoch
    assert ours.best_epoch == theirs.best_epoch
    assert ours.best == pytest.approx(theirs.best, rel=1e-4)
    for our, their in zip(our_weights, their_weights, strict=True):
        np.testing.assert_allclose(our, their, atol=1e-5)
