"""Sequences of batches in fit, evaluate and predict, against Keras's.

What a sequence is told of its epochs is not compared: Keras on torch tells it of
an end before the first one, too.
"""

import os

import numpy as np
import pytest

import onstage
from onstage.data import PyDataset

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")
# Raised by Keras when it converts a torch tensor to numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
Y = X.sum(axis=1, keepdims=True)


def weighted_batches(base):
    class Batches(base):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            rows = slice(index * 4, index * 4 + 4)
            return X[rows], Y[rows], np.linspace(0.5, 1.5, 4, dtype=np.float32)

    return Batches()


def results(library, base):
    """Return the history and the results of evaluate and predict."""
    model = library.Sequential([library.layers.Input((3,)), library.layers.Dense(1)])
    model.set_weights([np.ones((3, 1), np.float32) / 2, np.zeros(1)])
    model.compile("sgd", "mse", weighted_metrics=["mae"])
    data = weighted_batches(base)
    options = {"validation_data": weighted_batches(base), "validation_freq": 2}
    history = model.fit(data, epochs=4, shuffle=False, verbose=0, **options)
    return history.history, model.evaluate(data, verbose=0), model.predict(data, verbose=0)


def test_a_sequence_trains_evaluates_and_predicts_as_in_keras():
    ours, theirs = results(onstage, PyDataset), results(keras, keras.utils.PyDataset)

    assert set(ours[0]) == set(theirs[0])
    for name, values in theirs[0].items():
        np.testing.assert_allclose(ours[0][name], values, rtol=1e-5, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-5, atol=1e-6)
