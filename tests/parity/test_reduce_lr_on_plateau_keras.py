"""ReduceLROnPlateau makes the same decisions as Keras's on random metrics."""

import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

from onstage_reduce_lr_on_plateau import ReduceLROnPlateau  # noqa: E402  # after the backend is chosen

from onstage import Sequential, layers, optimizers  # noqa: E402

EXAMPLES = int(os.environ.get("ONSTAGE_PARITY_EXAMPLES", "300"))

# Keras compares in float32, in which eighths and powers of two are exact too.
eighths = st.integers(-8, 8).map(lambda n: n / 8)
metrics = st.lists(st.one_of(eighths, eighths, st.just(math.nan), st.none()), min_size=1, max_size=20)
options = st.fixed_dictionaries(
    {
        "factor": st.sampled_from([0.5, 0.25]),
        "patience": st.integers(0, 5),
        "mode": st.sampled_from(["auto", "min", "max"]),
        "min_delta": st.integers(0, 4).map(lambda n: n / 8),
        "min_lr": st.sampled_from([0.0, 0.125, 0.5]),
    }
)


class Rate:
    """A model for both: onstage reads its learning rate, Keras that of its optimizer."""

    def __init__(self):
        self.learning_rate = 1.0

    @property
    def optimizer(self):
        return self


class NaNsMended(keras.callbacks.ReduceLROnPlateau):
    """Keras's, except that a NaN never becomes the best: a deliberate difference."""

    def _is_improvement(self, value, reference):
        return not math.isnan(value) and bool(super()._is_improvement(value, reference))


def start_training(callback):
    callback.set_model(Rate())
    callback.on_train_begin()
    return callback


@pytest.mark.filterwarnings("ignore:ReduceLROnPlateau watches")
@pytest.mark.filterwarnings("ignore:Learning rate reduction is conditioned")
@settings(max_examples=EXAMPLES, deadline=None)
@given(metrics, options, st.integers(0, 5))
def test_every_decision_is_the_same_as_in_keras(values, options, cooldown):
    seen = [value for value in values if value is not None]
    twin = NaNsMended if seen and math.isnan(seen[0]) else keras.callbacks.ReduceLROnPlateau
    ours = start_training(ReduceLROnPlateau(cooldown=cooldown, **options))
    theirs = start_training(twin(cooldown=cooldown, **options))

    for epoch, value in enumerate(values):
        our_logs = {"other": 1.0} if value is None else {"val_loss": value}
        their_logs = dict(our_logs)
        ours.on_epoch_end(epoch, our_logs)
        theirs.on_epoch_end(epoch, their_logs)

        assert ours.model.learning_rate == theirs.model.learning_rate
        assert our_logs["learning_rate"] == their_logs["learning_rate"]
        assert ours.best == theirs.best
        assert ours.wait == theirs.wait
        assert ours.cooldown_counter == theirs.cooldown_counter
        assert ours.in_cooldown() == theirs.in_cooldown()


RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3)).astype("float32")
Y = RNG.normal(size=(24, 1)).astype("float32")
KERNELS = [RNG.normal(size=shape).astype("float32") for shape in ((3, 4), (4,), (4, 1), (1,))]


def test_a_real_fit_uses_the_same_rates_and_ends_with_the_same_weights():
    def fit(library, optimizer, callback):
        inside = library.layers
        model = library.Sequential([inside.Input((3,)), inside.Dense(4, activation="tanh"), inside.Dense(1)])
        model.compile(optimizer(0.3), loss="mse")
        model.set_weights(KERNELS)
        history = model.fit(
            X,
            Y,
            batch_size=8,
            epochs=20,
            validation_split=0.5,
            shuffle=False,
            verbose=0,
            callbacks=[callback],
        )
        return history.history["learning_rate"], model.get_weights()

    class Onstage:
        Sequential, layers = Sequential, layers

    options = {"factor": 0.5, "patience": 2, "min_lr": 0.02}

    our_rates, our_weights = fit(Onstage, optimizers.SGD, ReduceLROnPlateau(**options))
    their_rates, their_weights = fit(
        keras, keras.optimizers.SGD, keras.callbacks.ReduceLROnPlateau(**options)
    )

    assert len(set(our_rates)) > 2
    np.testing.assert_allclose(our_rates, their_rates, rtol=1e-6)
    for our, their in zip(our_weights, their_weights, strict=True):
        np.testing.assert_allclose(our, their, atol=1e-5)
