"""TerminateOnNaN stops at the same batch as Keras's."""

import contextlib
import io
import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

from onstage_terminate_on_nan import TerminateOnNaN  # noqa: E402  # after the backend is chosen

from onstage import Sequential, layers, optimizers  # noqa: E402

EXAMPLES = int(os.environ.get("ONSTAGE_PARITY_EXAMPLES", "300"))

losses = st.lists(st.floats() | st.none(), max_size=6)


class Dummy:
    stop_training = False


def outcome(callback, losses):
    """Return the callback's output and stop flag after each batch."""
    callback.set_model(Dummy())
    callback.on_train_begin()
    seen = []
    for batch, loss in enumerate(losses):
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said):
                callback.on_batch_end(batch, {} if loss is None else {"loss": loss})
        except RuntimeError as error:
            return [*seen, str(error)]
        seen.append((said.getvalue(), callback.model.stop_training))
    return seen


@settings(max_examples=EXAMPLES, deadline=None)
@given(losses, st.booleans())
def test_stops_at_the_same_batch_with_the_same_message(losses, raise_error):
    ours = outcome(TerminateOnNaN(raise_error), losses)
    theirs = outcome(keras.callbacks.TerminateOnNaN(raise_error), losses)

    assert ours == theirs


def test_a_real_fit_that_diverges_stops_at_the_same_batch():
    def batches(library, optimizer, callback, base):
        class Counts(base):
            def on_train_batch_end(self, batch, logs):
                counted.append(batch)

        counted = []
        model = library.Sequential([library.layers.Input((1,)), library.layers.Dense(1)])
        model.compile(optimizer(100.0), loss="mse")
        model.set_weights([np.ones((1, 1), "float32"), np.zeros(1, "float32")])
        x = np.full((100, 1), 10, "float32")
        model.fit(x, 2 * x, batch_size=1, epochs=3, shuffle=False, verbose=0, callbacks=[callback, Counts()])
        return counted

    class Onstage:
        Sequential, layers = Sequential, layers

    theirs = batches(keras, keras.optimizers.SGD, keras.callbacks.TerminateOnNaN(), keras.callbacks.Callback)
    with np.errstate(all="ignore"):
        ours = batches(Onstage, optimizers.SGD, TerminateOnNaN(), object)

    assert 1 < len(theirs) < 100
    assert ours == theirs


def test_deliberate_difference_it_checks_the_loss_of_the_batch_alone():
    class Run:
        epoch = 0

        @property
        def batch_logs(self):
            return {"loss": math.nan}

        def stop(self, reason, by):
            self.reason = reason

    callback = TerminateOnNaN()
    callback.set_run(run := Run())
    callback.on_train_begin()

    callback.on_batch_end(3, {"loss": 1.0})

    assert run.reason == "loss was nan in epoch 1, batch 3"
