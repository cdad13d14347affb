from copy import deepcopy

import numpy as np
import pytest

from onstage.nn.layers import (
    Activation,
    AveragePooling1D,
    BatchNormalization,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    Layer,
    LayerNormalization,
    MaxPooling1D,
    Reshape,
)
from onstage.nn.layers.row_sums import RowSums
from onstage.nn.optimizers import SGD
from onstage.nn.sequential import Sequential


class Triple(Layer):
    def forward(self, x, training):
        assert x.flags.c_contiguous
        return 3 * x

    def backward(self, gradient):
        return 3 * gradient


AFTER = {
    "nothing": [],
    "dense": [Dense(3, "tanh")],
    "flatten, dense": [Flatten(), Dense(2)],
    "reshape, dense": [Reshape((2, 6)), Dense(2)],
    "mean": [GlobalAveragePooling1D(), Dense(2)],
    "mean, axes kept": [GlobalAveragePooling1D(keepdims=True), Dense(2)],
    "maximum": [GlobalMaxPooling1D(), Dense(2)],
    "convolution": [Conv1D(2, 2)],
    "pooling": [MaxPooling1D(2)],
    "mean pooling": [AveragePooling1D(2)],
    "normalization of the batch": [BatchNormalization()],
    "normalization of the sample": [LayerNormalization()],
    "dropout": [Dropout(0.3)],
    "activation": [Activation("sigmoid")],
    "softmax": [Activation("softmax")],
    "own layer": [Triple()],
    "own layer, dense": [Triple(), Dense(2)],
}


@pytest.mark.parametrize("after", AFTER)
def test_gradient_of_an_embedding_before(after):
    # 1 and 4 occur several times, 3 never.
    x = np.array([[1, 4, 0, 1], [2, 4, 1, 1]])
    model = Sequential([Embedding(5, 3), *deepcopy(AFTER[after])], seed=0, dtype="float64")
    model.compile(SGD(1.0), "mse")
    model.build((None, 4))
    y = np.random.default_rng(1).normal(size=(2, *model.output_shape[1:]))
    start = [8 * each for each in model.get_weights()]

    def step(weights, rate):
        model.set_weights(weights)
        model.learning_rate = rate
        model.reseed(3)  # the same values are dropped each time
        return model.train_on_batch(x, y)

    estimate = np.zeros((5, 3))
    for place in np.ndindex(5, 3):
        shift = np.zeros((5, 3))
        shift[place] = 1e-6
        ends = [step([start[0] + sign * shift, *start[1:]], 0.0) for sign in (1, -1)]
        estimate[place] = (ends[0] - ends[1]) / 2e-6
    step(start, 1.0)

    np.testing.assert_allclose(start[0] - model.get_weights()[0], estimate, atol=1e-7)
    assert estimate[1].any()
    assert not estimate[3].any()


def test_a_gradient_has_nothing_of_the_batch_before():
    model = Sequential([Embedding(4, 2, "ones"), GlobalAveragePooling1D()], dtype="float64")
    model.compile(SGD(1.0, momentum=0.5, nesterov=True), "mse")
    model.train_on_batch([[0, 1]], [[0.0, 0.0]])
    before = model.get_weights()[0]
    model.compile(SGD(1.0), "mse")

    model.train_on_batch([[2, 2]], [[0.0, 0.0]])

    np.testing.assert_array_equal(model.get_weights()[0][:2], before[:2])
    assert (model.get_weights()[0][2] != before[2]).all()


@pytest.mark.parametrize("numbers", [1, 3, 256, 257, 65_536, 65_537])
@pytest.mark.parametrize("rows", [0, 1, 2, 5, 16, 17, 300])
@pytest.mark.parametrize("distinct", [1, 7, 10**9])
def test_sums_of_rows_are_those_of_a_loop(numbers, rows, distinct):
    rng = np.random.default_rng(0)
    chosen = rng.choice(numbers, min(distinct, numbers), replace=False)
    of_rows = rng.choice(chosen, rows)
    values = rng.integers(100, size=(rows, 3)).astype(np.float32)
    sums = RowSums(rows, numbers, 3, np.dtype(np.float32))
    out = np.full((numbers, 3), np.nan, np.float32)
    expected = np.zeros((numbers, 3), np.float32)
    for number, row in zip(of_rows, values, strict=True):
        expected[number] += row

    for _ in range(2):  # the buffers are used again
        sums.rows[:] = values
        sums.write(of_rows, out)

        np.testing.assert_array_equal(out, expected)
