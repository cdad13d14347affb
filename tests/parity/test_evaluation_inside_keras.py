"""A model that is used inside a callback: the means of the epoch are those of Keras without it."""

import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

import onstage.keras  # noqa: E402  # after the backend is chosen

X = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
Y = (X[:, :1] > 0).astype("float32")


def losses(library, use=None):
    seen = []

    class Uses(library.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(float(logs["loss"]))
            if use:
                getattr(self.model, use)(X[:8], Y[:8], **({"verbose": 0} if use == "evaluate" else {}))

    model = library.Sequential([library.Input((3,)), library.layers.Dense(1)])
    model.compile(library.optimizers.SGD(0.1), loss="mse")
    model.set_weights([np.ones((3, 1), "float32"), np.zeros(1, "float32")])
    history = model.fit(X, Y, batch_size=8, epochs=2, verbose=0, shuffle=False, callbacks=[Uses()])
    return seen + [float(each) for each in history.history["loss"]]


@pytest.mark.parametrize("use", ["evaluate", "test_on_batch"])
def test_an_evaluation_in_a_callback_leaves_the_means_of_the_epoch(use):
    expected = losses(keras)

    np.testing.assert_allclose(losses(onstage.keras, use), expected, rtol=1e-5)
    assert not np.allclose(losses(keras, use), expected, rtol=0.01)  # Keras resets them
