import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onstage.nn import layers as nn_layers
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
    Input,
    Layer,
    LayerNormalization,
    MaxPooling1D,
    MaxPooling2D,
    Reshape,
)
from onstage.nn.sequential import Sequential


def outputs(layers, x, weights=None):
    model = Sequential(layers, seed=0, dtype="float64")
    model.build((None, *x.shape[1:]))
    if weights is not None:
        model.set_weights(weights)
    return model.predict_on_batch(x)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("shape", [(5, 3), (5, 2, 3), (5, 2, 4, 3)], ids=str)
def test_dense_multiplies_along_the_last_axis(shape):
    x, kernel, bias = normal(*shape), normal(3, 4, seed=1), normal(4, seed=2)

    y = outputs([Dense(4, "relu")], x, [kernel, bias])

    np.testing.assert_allclose(y, np.maximum(x @ kernel + bias, 0))


def padded_windows(x, size, strides, dilation, padding, fill):
    """Yield each output position with its window of x."""
    pads, lengths = [], []
    for n, k, s, d in zip(x.shape[1:3], size, strides, dilation, strict=True):
        reach = (k - 1) * d + 1
        if padding == "same":
            length = -(-n // s)
            total = max((length - 1) * s + reach - n, 0)
        else:
            length, total = (n - reach) // s + 1, 0
        pads.append((total // 2, total - total // 2))
        lengths.append(length)
    wide = np.pad(x, [(0, 0), *pads, (0, 0)], constant_values=fill)
    for i in range(lengths[0]):
        for j in range(lengths[1]):
            top, left = i * strides[0], j * strides[1]
            yield (
                (i, j),
                tuple(lengths),
                wide[
                    :,
                    top : top + (size[0] - 1) * dilation[0] + 1 : dilation[0],
                    left : left + (size[1] - 1) * dilation[1] + 1 : dilation[1],
                ],
            )


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
images = st.tuples(st.integers(1, 3), st.integers(3, 7), st.integers(3, 7), st.integers(1, 3))


@settings(max_examples=60, deadline=None)
@given(shape=images, size=pairs, strides=pairs, padding=st.sampled_from(["valid", "same"]))
def test_convolution_is_a_sum_over_each_window(shape, size, strides, padding):
    x, kernel, bias = normal(*shape), normal(*size, shape[-1], 2, seed=1), normal(2, seed=2)

    y = outputs([Conv2D(2, size, strides, padding)], x, [kernel, bias])

    for place, lengths, seen in padded_windows(x, size, strides, (1, 1), padding, 0.0):
        expected = np.einsum("nhwc,hwcf->nf", seen, kernel) + bias
        np.testing.assert_allclose(y[:, place[0], place[1]], expected, atol=1e-12)
        assert y.shape[1:3] == lengths


@settings(max_examples=30, deadline=None)
@given(
    size=pairs,
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 3)),
    padding=st.sampled_from(["valid", "same"]),
)
def test_dilated_convolution_skips_pixels_within_its_window(size, dilation, padding):
    x, kernel = normal(2, 7, 8, 2), normal(*size, 2, 3, seed=1)

    y = outputs([Conv2D(3, size, 1, padding, dilation, use_bias=False)], x, [kernel])

    for (i, j), lengths, seen in padded_windows(x, size, (1, 1), dilation, padding, 0.0):
        np.testing.assert_allclose(y[:, i, j], np.einsum("nhwc,hwcf->nf", seen, kernel), atol=1e-12)
        assert y.shape[1:3] == lengths


@settings(max_examples=60, deadline=None)
@given(
    shape=images,
    size=pairs,
    strides=st.none() | pairs,
    padding=st.sampled_from(["valid", "same"]),
    kind=st.sampled_from([(MaxPooling2D, np.nanmax), (AveragePooling2D, np.nanmean)]),
)
def test_pooling_reduces_each_window_without_the_padding(shape, size, strides, padding, kind):
    layer, reduce = kind
    x = normal(*shape)

    y = outputs([layer(size, strides, padding)], x)

    for (i, j), lengths, seen in padded_windows(x, size, strides or size, (1, 1), padding, np.nan):
        np.testing.assert_allclose(y[:, i, j], reduce(seen, axis=(1, 2)), atol=1e-12)
        assert y.shape[1:3] == lengths


def test_max_pooling_passes_the_gradient_of_a_tie_to_the_first():
    model = Sequential(
        [Dense(1, use_bias=False), Reshape((2, 2, 1)), MaxPooling2D(), Flatten()], dtype="float64"
    )
    with pytest.raises(ValueError, match="must have input that fits the shape"):
        model.build((None, 3))

    layers = [Dense(4, use_bias=False), Reshape((2, 2, 1)), MaxPooling2D(), Flatten()]
    model = Sequential(layers, dtype="float64")
    model.compile("sgd", "mse")
    model.build((None, 1))
    model.set_weights([np.array([[1.0, 3.0, 3.0, 3.0]])])

    model.train_on_batch(np.ones((1, 1)), np.zeros((1, 1)))

    np.testing.assert_array_equal(
        model.get_weights()[0] == [[1.0, 3.0, 3.0, 3.0]], [[True, False, True, True]]
    )


def test_global_average_pooling_is_the_mean_over_rows_and_columns():
    x = normal(3, 4, 5, 2)

    np.testing.assert_allclose(outputs([GlobalAveragePooling2D()], x), x.mean(axis=(1, 2)))
    np.testing.assert_allclose(
        outputs([GlobalAveragePooling2D(keepdims=True)], x), x.mean(axis=(1, 2), keepdims=True)
    )


@settings(max_examples=40, deadline=None)
@given(
    shapes=st.sampled_from(
        [
            ((24,), (24,)),
            ((24,), (2, 3, 4)),
            ((2, 3, 4), (24,)),
            ((2, 3, 4), (4, 6)),
            ((4, 6), (2, 3, 4)),
            ((2, 3, 2, 2), (3, 8)),
            ((24,), (1, 24)),
        ]
    ),
    batch=st.integers(1, 4),
    hidden=st.booleans(),
)
def test_reshape_and_flatten_keep_row_major_order(shapes, batch, hidden):
    before, after = shapes
    x = normal(batch, *before)

    def below():
        return [Activation("tanh")] if hidden else []

    y = outputs([*below(), Reshape(after)], x)
    flat = outputs([*below(), Flatten()], x)

    x = np.tanh(x) if hidden else x
    np.testing.assert_array_equal(y, x.reshape(batch, *after))
    np.testing.assert_array_equal(flat, x.reshape(batch, -1))


def test_reshape_infers_the_length_of_minus_one():
    assert outputs([Reshape((-1, 2))], normal(3, 12)).shape == (3, 6, 2)


def test_embedding_returns_rows_of_its_table():
    table = normal(7, 3)
    for x in (np.array([[1, 6], [0, 1]]), np.arange(6).reshape(1, 2, 3), np.array([[2.0], [5.0]])):
        np.testing.assert_array_equal(outputs([Embedding(7, 3)], x, [table]), table[x.astype(int)])


@pytest.mark.parametrize(("x", "message"), [([[7]], "got 7 to 7"), ([[-1, 3]], "got -1 to 3")])
def test_embedding_refuses_a_number_outside_its_table(x, message):
    with pytest.raises(ValueError, match=rf"integers in \[0, 7\) for the layer 'embedding', {message}"):
        outputs([Embedding(7, 3)], np.array(x))


@pytest.mark.parametrize("shape", [(8, 3), (4, 2, 3), (3, 2, 2, 3)], ids=str)
def test_batch_normalization_uses_batch_statistics_in_training(shape):
    x = 3 * normal(*shape) + 5
    others = tuple(range(len(shape) - 1))
    model = Sequential([BatchNormalization(momentum=0.9, epsilon=1e-2)], dtype="float64")
    model.compile("sgd", lambda y, p: np.square(y - p))
    model.build((None, *shape[1:]))
    normalized = (x - x.mean(axis=others)) / np.sqrt(x.var(axis=others) + 1e-2)

    # The mean of the squares is 0 only if the model's output equals y.
    assert model.train_on_batch(x, normalized) == pytest.approx(0, abs=1e-20)
    mean, variance = model.get_weights()[2:]
    np.testing.assert_allclose(mean, 0.1 * x.mean(axis=others))
    np.testing.assert_allclose(variance, 0.9 + 0.1 * x.var(axis=others))


def test_batch_normalization_uses_moving_averages_in_inference():
    x = normal(4, 3)
    gamma, beta, mean, variance = (
        normal(3, seed=1),
        normal(3, seed=2),
        normal(3, seed=3),
        np.array([0.5, 1.0, 2.0]),
    )

    y = outputs([BatchNormalization(epsilon=0.01)], x, [gamma, beta, mean, variance])

    np.testing.assert_allclose(y, gamma * (x - mean) / np.sqrt(variance + 0.01) + beta)


@pytest.mark.parametrize("shape", [(8, 3), (4, 2, 3)], ids=str)
def test_layer_normalization_normalizes_the_channels_of_each_sample(shape):
    x, gamma, beta = normal(*shape), normal(3, seed=1), normal(3, seed=2)

    y = outputs([LayerNormalization(epsilon=0.01)], x, [gamma, beta])

    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    np.testing.assert_allclose(y, gamma * (x - mean) / np.sqrt(variance + 0.01) + beta)


def dropped(seed, rate=0.25, shape=(50, 40)):
    model = Sequential([Dropout(rate)], seed=seed, dtype="float64")
    seen = []
    model.compile("sgd", lambda y, p: (seen.append(p.copy()), np.square(y - p))[1])
    model.train_on_batch(np.ones(shape), np.zeros(shape))
    return seen[0]


def test_dropout_drops_its_fraction_and_scales_the_others_up():
    y = dropped(seed=0)

    assert set(np.unique(y)) == {0.0, 1 / 0.75}
    assert np.mean(y == 0) == pytest.approx(0.25, abs=0.04)


def test_dropout_is_reproduced_by_the_seed():
    np.testing.assert_array_equal(dropped(seed=3), dropped(seed=3))
    assert (dropped(seed=3) != dropped(seed=4)).any()


def test_dropout_drops_nothing_in_inference():
    x = normal(4, 5)

    np.testing.assert_array_equal(outputs([Dropout(0.9)], x), x)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Dense(0), ValueError, "units must be an integer >= 1, got 0"),
        (lambda: Dense(2.5), TypeError, "units must be an integer >= 1, got 2.5"),
        (lambda: Dense(2, unts=3), TypeError, "Dense has no argument 'unts'; did you mean 'units'"),
        (lambda: Dense(2, "rellu"), ValueError, "did you mean 'relu'"),
        (lambda: Dense(2, name=""), TypeError, "name must be a string or None"),
        (
            lambda: Dense(2, input_shape=(None, 3)),
            ValueError,
            "input_shape must be positive integers without the batch",
        ),
        (lambda: Dense(2, input_shape=3), TypeError, "input_shape must be a tuple of integers"),
        (lambda: Input("ab"), TypeError, "shape must be a tuple of integers"),
        (lambda: Dropout(1.0), ValueError, r"rate must be a number in \[0, 1\), got 1.0"),
        (lambda: Conv2D(2, (1, 2, 3)), ValueError, "kernel_size must be an integer or a pair"),
        (lambda: Conv1D(2, (1, 2)), ValueError, r"kernel_size must be an integer, got \(1, 2\)"),
        (lambda: Conv2D(2, 3, padding="causal"), ValueError, "padding must be one of 'valid', 'same', got"),
        (
            lambda: MaxPooling1D().compute_output_shape((None, 4)),
            ValueError,
            r"input of shape \(batch, steps, channels\), got \(None, 4\)",
        ),
        (
            lambda: Conv2D(2, 3, padding="full"),
            ValueError,
            "padding must be one of 'valid', 'same', got 'full'",
        ),
        (lambda: Conv2D(2, 3, strides=2, dilation_rate=2), ValueError, "strides or dilation_rate must be 1"),
        (lambda: MaxPooling2D(0), ValueError, "pool_size must be an integer >= 1, got 0"),
        (lambda: Reshape((-1, -1)), ValueError, "at most one -1"),
        (lambda: BatchNormalization(axis=1), ValueError, "axis must be -1, the channels, got 1"),
        (lambda: BatchNormalization(momentum=2), ValueError, r"momentum must be a number in \[0, 1\], got 2"),
        (lambda: Embedding(0, 2), ValueError, "input_dim must be an integer >= 1"),
    ],
)
def test_an_argument_out_of_range_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [Dense(4), Conv2D(2, 3)],
            r"layer 'conv2d' must have input of shape .* got \(None, 4\), from the layer 'dense'",
        ),
        (
            [Dense(4), Reshape((3,))],
            r"layer 'reshape' must have input that fits the shape \(3,\), got 4 values of shape \(4,\), from",
        ),
        (
            [Reshape((2, 5, 1)), MaxPooling2D(3)],
            r"layer 'max_pooling2d' must have input at least .* got \(2, 5\), from the layer 'reshape'",
        ),
        (
            [Reshape((2, 5, 1)), Conv2D(1, 3)],
            r"layer 'conv2d' must have input at least .* got \(2, 5\), from the layer 'reshape'",
        ),
    ],
)
def test_an_error_about_incompatible_layers_names_them_with_their_shapes(layers, message):
    with pytest.raises(ValueError, match=message):
        Sequential([Input((10,)), *layers])


CONFIGURED = [
    Dense(
        3, "relu", use_bias=False, kernel_regularizer="l2", kernel_initializer="he_normal", trainable=False
    ),
    Activation("gelu", name="bell"),
    Dropout(0.3),
    Reshape((3, -1)),
    Flatten(),
    BatchNormalization(momentum=0.5, scale=False, gamma_initializer="zeros"),
    LayerNormalization(epsilon=0.1, beta_regularizer="l1"),
    Conv2D(4, (2, 3), padding="same", activation="tanh"),
    MaxPooling2D(3, 2, "same"),
    AveragePooling2D((1, 2)),
    Conv1D(4, 3, padding="causal", dilation_rate=2, activation="tanh"),
    MaxPooling1D(3, 2, "same"),
    AveragePooling1D(2),
    GlobalMaxPooling1D(keepdims=True),
    GlobalMaxPooling2D(),
    GlobalAveragePooling1D(),
    GlobalAveragePooling2D(keepdims=True),
    Embedding(5, 2, embeddings_regularizer="l2"),
    Dense(2, input_shape=(4,)),
]


@pytest.mark.parametrize("layer", CONFIGURED, ids=lambda layer: type(layer).__name__)
def test_a_configuration_rebuilds_the_same_layer(layer):
    config = layer.get_config()

    again = type(layer)(**config)

    assert again.get_config() == config


class Scale(Layer):
    def build(self, input_shape):
        self.gain = self.add_weight((input_shape[-1],), "ones", name="gain")

    def forward(self, x, training):
        self.x = x
        return x * self.gain.value

    def backward(self, gradient):
        self.gain.gradient[...] = (gradient * self.x).sum(axis=0)
        return gradient * self.gain.value


def test_a_custom_layer_trains_like_any_other(gradient_error):
    x = normal(5, 3)

    assert gradient_error([Scale(), Dense(2), Scale()], "mse", x, normal(5, 2)) < 1e-8
    np.testing.assert_allclose(
        outputs([Scale(), Activation("tanh")], x, [np.array([1.0, 2.0, 3.0])]), np.tanh(x * [1, 2, 3])
    )


def test_a_custom_layer_receives_images_batch_first():
    class Look(Layer):
        def forward(self, x, training):
            self.x, self.training = x, training
            return x[..., :1]

    look, x = Look(), normal(2, 3, 4, 5)

    y = outputs([look], x)

    np.testing.assert_array_equal(look.x, x)
    np.testing.assert_array_equal(y, x[..., :1])
    assert look.training is False


def test_an_error_names_the_missing_forward_of_a_custom_layer():
    class Empty(Layer):
        pass

    with pytest.raises(NotImplementedError, match="Empty must define forward"):
        outputs([Empty()], normal(2, 3))


def test_an_error_names_a_custom_layer_with_output_of_the_wrong_shape():
    class Narrow(Scale):
        def compute_output_shape(self, input_shape):
            return input_shape

        def forward(self, x, training):
            return x[:, :1]

    with pytest.raises(
        ValueError, match=r"forward of the layer 'narrow' must return .* \(2, 3\), got \(2, 1\)"
    ):
        outputs([Narrow()], normal(2, 3))


def test_an_error_names_a_custom_layer_whose_backward_returns_nothing():
    class Forgets(Scale):
        def backward(self, gradient):
            self.gain.gradient[...] = 0

    model = Sequential([Dense(3), Forgets()])
    model.compile("sgd", "mse")

    with pytest.raises(ValueError, match=r"backward of the layer 'forgets' must return .* got None"):
        model.train_on_batch(normal(2, 3), normal(2, 3))


@pytest.mark.parametrize(
    ("short", "layer"),
    [
        ("MaxPool1D", MaxPooling1D),
        ("AvgPool2D", AveragePooling2D),
        ("GlobalAvgPool1D", GlobalAveragePooling1D),
    ],
)
def test_layers_have_the_short_names_of_keras(short, layer):
    assert getattr(nn_layers, short) is layer
