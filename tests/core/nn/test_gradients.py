"""Every layer, activation and loss against central differences in float64."""

import numpy as np
import pytest

from onstage import activations, losses
from onstage.nn.layers import (
    Activation,
    AveragePooling1D,
    AveragePooling2D,
    BatchNormalization,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    LayerNormalization,
    MaxPooling1D,
    MaxPooling2D,
    Reshape,
)

TOLERANCE = 2e-8


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("name", sorted({"linear", "relu", "leaky_relu", "elu", "gelu", "sigmoid", "tanh"}))
def test_gradient_of_an_activation_inside_a_dense_layer(name, gradient_error):
    x, y = normal(4, 3), normal(4, 2, seed=1)

    assert gradient_error([Dense(3, name), Dense(2)], "mse", x, y) < TOLERANCE


@pytest.mark.parametrize(
    "activation",
    [
        "softplus",
        "softmax",
        "gelu",
        activations.GELU(approximate=True),
        activations.LeakyReLU(0.3),
        activations.ELU(0.7),
    ],
    ids=lambda activation: type(activation).__name__,
)
def test_gradient_of_an_activation_as_a_layer(activation, gradient_error):
    x, y = normal(4, 3), normal(4, 3, seed=1)

    assert gradient_error([Activation(activation), Dense(3)], "mse", x, y) < TOLERANCE


def test_gradient_of_two_activations_in_a_row(gradient_error):
    layers = [Dense(3, "relu"), Activation("tanh"), Activation("sigmoid"), Activation("elu")]

    assert gradient_error(layers, "mse", normal(4, 3), normal(4, 3, seed=1)) < TOLERANCE


@pytest.mark.parametrize("shape", [(3, 4), (3, 2, 4), (2, 2, 3, 4)], ids=str)
def test_gradient_of_dense_along_the_last_axis(shape, gradient_error):
    y = normal(*shape[:-1], 2, seed=1)

    assert gradient_error([Dense(2, "tanh")], "mse", normal(*shape), y) < TOLERANCE


def test_gradient_of_dense_without_bias(gradient_error):
    assert gradient_error([Dense(2, use_bias=False)], "mse", normal(3, 4), normal(3, 2)) < TOLERANCE


def test_gradient_of_dropout(gradient_error):
    layers = [Dense(6, "relu"), Dropout(0.4), Dense(2)]

    assert gradient_error(layers, "mse", normal(4, 3), normal(4, 2, seed=1)) < TOLERANCE


@pytest.mark.parametrize("shape", [(5, 3), (4, 2, 3), (3, 2, 2, 3)], ids=str)
@pytest.mark.parametrize("center_and_scale", [True, False])
@pytest.mark.parametrize("layer", [BatchNormalization, LayerNormalization])
def test_gradient_of_a_normalization(layer, shape, center_and_scale, gradient_error):
    layers = [layer(center=center_and_scale, scale=center_and_scale), Dense(2)]

    assert gradient_error(layers, "mse", normal(*shape), normal(*shape[:-1], 2, seed=1)) < 1e-7


def test_gradient_of_a_frozen_batch_normalization_is_that_of_its_input(gradient_error):
    layers = [BatchNormalization(trainable=False), Dense(2)]

    # Weights are not randomized: a variance must stay positive.
    error = gradient_error(layers, "mse", normal(4, 3), normal(4, 2), randomize=False)
    assert error < TOLERANCE


@pytest.mark.parametrize(
    ("size", "strides", "padding", "dilation"),
    [
        (1, 1, "valid", 1),
        (3, 1, "valid", 1),
        (3, 1, "same", 1),
        ((2, 3), (2, 1), "same", 1),
        ((3, 2), (2, 3), "valid", 1),
        (3, 2, "same", 1),
        (2, 1, "valid", 2),
        ((2, 3), 1, "same", (2, 1)),
        (1, 3, "same", 1),
        (4, 1, "same", 1),
    ],
    ids=str,
)
def test_gradient_of_a_convolution(size, strides, padding, dilation, gradient_error):
    x = normal(2, 5, 6, 2)
    layer = Conv2D(3, size, strides, padding, dilation, activation="tanh")
    rows, columns = layer.compute_output_shape((None, 5, 6, 2))[1:3]

    assert gradient_error([layer], "mse", x, normal(2, rows, columns, 3, seed=1)) < TOLERANCE


@pytest.mark.parametrize(
    ("size", "strides", "padding", "dilation"),
    [(1, 1, "valid", 1), (3, 2, "same", 1), (2, 1, "valid", 2), (3, 1, "causal", 2), (3, 2, "causal", 1)],
    ids=str,
)
def test_gradient_of_a_convolution_of_sequences(size, strides, padding, dilation, gradient_error):
    layers = [Conv1D(3, size, strides, padding, dilation, activation="tanh"), Flatten(), Dense(2)]

    assert gradient_error(layers, "mse", normal(2, 7, 2), normal(2, 2, seed=1)) < TOLERANCE


@pytest.mark.parametrize(
    ("size", "strides", "padding"), [(2, None, "valid"), (3, 2, "same"), (3, 1, "same"), (1, 2, "valid")]
)
@pytest.mark.parametrize("layer", [MaxPooling1D, AveragePooling1D])
def test_gradient_of_a_pooling_of_sequences(layer, size, strides, padding, gradient_error):
    layers = [layer(size, strides, padding), Flatten(), Dense(2)]

    assert gradient_error(layers, "mse", normal(2, 7, 2), normal(2, 2)) < TOLERANCE


def test_gradient_of_two_convolutions_and_a_flatten(gradient_error):
    layers = [Conv2D(2, 3, padding="same"), Conv2D(3, 2, 2), Flatten(), Dense(2)]

    assert gradient_error(layers, "mse", normal(2, 4, 5, 1), normal(2, 2, seed=1)) < TOLERANCE


@pytest.mark.parametrize(
    ("size", "strides", "padding"),
    [
        (2, None, "valid"),
        (2, None, "same"),
        (3, 2, "same"),
        ((2, 3), (1, 2), "valid"),
        (3, 1, "same"),
        (1, 2, "same"),
    ],
    ids=str,
)
@pytest.mark.parametrize("layer", [MaxPooling2D, AveragePooling2D])
def test_gradient_of_a_pooling(layer, size, strides, padding, gradient_error):
    x = normal(2, 5, 7, 2)

    assert (
        gradient_error([layer(size, strides, padding), Flatten(), Dense(2)], "mse", x, normal(2, 2))
        < TOLERANCE
    )


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (GlobalAveragePooling1D, (2, 4, 2)),
        (GlobalAveragePooling2D, (2, 3, 4, 2)),
        (GlobalMaxPooling1D, (2, 4, 2)),
        (GlobalMaxPooling2D, (2, 3, 4, 2)),
    ],
)
def test_gradient_of_global_pooling(layer, shape, keepdims, gradient_error):
    layers = [layer(keepdims), Flatten(), Dense(2)]

    assert gradient_error(layers, "mse", normal(*shape), normal(2, 2)) < TOLERANCE


def test_gradient_of_reshapes(gradient_error):
    layers = [
        Reshape((2, -1, 3)),
        Conv2D(2, 2, padding="same"),
        Reshape((4, 4)),
        Dense(3),
        Flatten(),
        Dense(2),
    ]

    assert gradient_error(layers, "mse", normal(2, 24), normal(2, 2)) < TOLERANCE


def test_gradient_of_an_embedding():
    from onstage.nn.optimizers import SGD
    from onstage.nn.sequential import Sequential

    # Embedding takes integers, so no Shift before it; 1 and 4 occur twice, 3 never.
    x, y = np.array([[1, 4, 0], [2, 4, 1]]), normal(2, 2)
    model = Sequential([Embedding(5, 2), Flatten(), Dense(2)], seed=0, dtype="float64")
    model.compile(SGD(1.0), "mse")
    model.build((None, 3))
    start = model.get_weights()

    def loss(table):
        model.set_weights([table, *start[1:]])
        return model.test_on_batch(x, y)

    estimate = np.zeros((5, 2))
    for place in np.ndindex(5, 2):
        step = np.zeros((5, 2))
        step[place] = 1e-6
        estimate[place] = (loss(start[0] + step) - loss(start[0] - step)) / 2e-6
    model.set_weights(start)
    model.train_on_batch(x, y)

    np.testing.assert_allclose(start[0] - model.get_weights()[0], estimate, atol=TOLERANCE)
    assert not estimate[3].any()


SIGNS = np.sign(normal(4, 3, seed=1))
SHARES = np.random.default_rng(1).dirichlet(np.ones(3), 4)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("loss", "last", "y"),
    [
        ("mse", "linear", normal(4, 3, seed=1)),
        ("mae", "linear", normal(4, 3, seed=1)),
        (losses.Huber(0.8), "linear", 2 * normal(4, 3, seed=1)),
        ("hinge", "linear", SIGNS),
        ("hinge", "tanh", (SIGNS + 1) / 2),
        ("mape", "linear", normal(4, 3, seed=1)),
        ("msle", "softplus", np.abs(normal(4, 3, seed=1))),
        ("poisson", "softplus", np.abs(normal(4, 3, seed=1))),
        ("log_cosh", "linear", 3 * normal(4, 3, seed=1)),
        ("squared_hinge", "linear", SIGNS),
        ("categorical_hinge", "softplus", np.eye(3)[[0, 2, 1, 1]]),
        ("cosine_similarity", "linear", normal(4, 3, seed=1)),
        ("kl_divergence", "softmax", SHARES),
        ("binary_crossentropy", "sigmoid", SHARES),
        (losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1), "linear", SHARES.round()),
        (losses.BinaryCrossentropy(label_smoothing=0.2), "softmax", SHARES.round()),
        ("categorical_crossentropy", "softmax", SHARES),
        ("categorical_crossentropy", "softplus", 2 * SHARES),
        ("categorical_crossentropy", "softmax", 2 * SHARES),
        (losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1), "linear", SHARES),
        ("sparse_categorical_crossentropy", "softmax", np.array([0, 2, 1, 2])),
        ("sparse_categorical_crossentropy", "sigmoid", np.array([[0], [2], [1], [2]])),
        (losses.SparseCategoricalCrossentropy(from_logits=True), "linear", np.array([0, 2, 1, 2])),
        (lambda y, p: np.mean((y - p) ** 4, axis=-1), "tanh", normal(4, 3, seed=1)),
        (lambda y, p: (np.sum((y - p) ** 2, axis=-1), 2 * (p - y)), "tanh", normal(4, 3, seed=1)),
    ],
)
def test_gradient_of_a_loss(loss, last, y, weighted, gradient_error):
    weights = np.array([0.5, 2.0, 0.0, 1.0]) if weighted else None

    assert gradient_error([Dense(3), Activation(last)], loss, normal(4, 3), y, weights) < 5e-8


@pytest.mark.parametrize(
    ("loss", "last", "y"),
    [
        ("mse", "linear", normal(2, 3, 4)),
        ("cosine_similarity", "linear", normal(2, 3, 4)),
        ("kl_divergence", "softmax", np.random.default_rng(0).dirichlet(np.ones(4), (2, 3))),
        ("binary_crossentropy", "sigmoid", np.random.default_rng(0).random((2, 3, 4))),
        ("categorical_crossentropy", "softmax", np.random.default_rng(0).dirichlet(np.ones(4), (2, 3))),
        ("sparse_categorical_crossentropy", "softmax", np.array([[0, 3, 1], [2, 2, 0]])),
        ("sparse_categorical_crossentropy", "softmax", np.array([[[0], [3], [1]], [[2], [2], [0]]])),
    ],
)
def test_gradient_of_a_loss_over_sequences(loss, last, y, gradient_error):
    weights = np.array([0.5, 2.0])

    assert gradient_error([Dense(4, last)], loss, normal(2, 3, 5), y, weights) < TOLERANCE


def test_gradient_of_regularizers(gradient_error):
    layers = [
        Dense(3, "tanh", kernel_regularizer="l2", bias_regularizer="l1"),
        BatchNormalization(gamma_regularizer="l2", beta_regularizer="l2"),
        Dense(2, kernel_regularizer="l1"),
    ]

    assert gradient_error(layers, "mse", normal(4, 3), normal(4, 2)) < 1e-7
