"""Models against Keras's, step by step: losses, gradients, updates, logs."""

import os

import numpy as np
import pytest

from onstage import activations, layers, losses, optimizers
from onstage.nn.sequential import Sequential

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")
# Raised by Keras when it converts a torch tensor to numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TOLERANCE = 1e-5


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def classes(n, k, *more, seed=1):
    return np.random.default_rng(seed).integers(k, size=(n, *more))


def one_hot(n, k):
    return np.eye(k, dtype=np.float32)[classes(n, k)]


# Each builds its layers from Keras's module or ours, with the same names and arguments.
ARCHITECTURES = {
    "softmax": lambda m: [m.Dense(10, "softmax")],
    "two dense": lambda m: [m.Dense(32, "relu"), m.Dense(10, "softmax")],
    "softmax as a layer": lambda m: [m.Dense(16), m.Activation("tanh"), m.Dense(10), m.Activation("softmax")],
    "gelu and elu": lambda m: [m.Dense(16, "gelu"), m.Dense(8, "elu"), m.Dense(10, "softmax")],
    "leaky, softplus, sigmoid": lambda m: [
        m.Dense(16, "leaky_relu"),
        m.Dense(8, "softplus"),
        m.Dense(8, "sigmoid"),
        m.Dense(10, "softmax"),
    ],
    "batch normalization": lambda m: [
        m.Dense(16, use_bias=False),
        m.BatchNormalization(momentum=0.8),
        m.Activation("relu"),
        m.Dense(10, "softmax"),
    ],
    "layer normalization": lambda m: [m.LayerNormalization(), m.Dense(16, "relu"), m.Dense(10, "softmax")],
    "regularized": lambda m: [
        m.Dense(16, "relu", kernel_regularizer="l2", bias_regularizer="l1"),
        m.Dense(10, "softmax", kernel_regularizer="l1"),
    ],
}
IMAGES = {
    "two convolutions": lambda m: [
        m.Conv2D(4, 3, activation="relu"),
        m.MaxPooling2D(2),
        m.Conv2D(6, 3, activation="relu"),
        m.MaxPooling2D(2),
        m.Flatten(),
        m.Dense(10, "softmax"),
    ],
    "same padding and strides": lambda m: [
        m.Conv2D(4, (3, 2), strides=(2, 1), padding="same", activation="relu"),
        m.BatchNormalization(),
        # Even padding: Keras on torch pads odd ones with copies of the edge; on JAX it does not.
        m.AveragePooling2D(3, strides=1, padding="same"),
        m.Conv2D(5, 2, padding="same", dilation_rate=2),
        m.GlobalAveragePooling2D(),
        m.Dense(10, "softmax"),
    ],
    "maximum of an image": lambda m: [m.Conv2D(4, 3), m.GlobalMaxPooling2D(), m.Dense(10, "softmax")],
    "max pooling with overlap": lambda m: [
        m.Conv2D(4, 3, strides=2),
        m.MaxPooling2D(3, strides=1, padding="same"),
        m.Reshape((-1, 8)),
        m.Dense(3, "relu"),
        m.Flatten(),
        m.Dense(10, "softmax"),
    ],
}
SEQUENCES = {
    "convolutions of sequences": lambda m: [
        m.Conv1D(4, 3, activation="relu"),
        m.MaxPooling1D(2),
        m.Conv1D(6, 3, padding="causal", dilation_rate=2, activation="tanh"),
        m.AveragePooling1D(2, strides=1),
        m.Flatten(),
        m.Dense(10, "softmax"),
    ],
    "same padding, strides and a maximum": lambda m: [
        m.Conv1D(4, 2, strides=2, padding="same", activation="relu"),
        m.MaxPooling1D(3, strides=1, padding="same"),
        m.Conv1D(5, 3, padding="causal"),
        m.GlobalMaxPooling1D(),
        m.Dense(10, "softmax"),
    ],
    "mean of a sequence": lambda m: [
        m.Conv1D(4, 3, strides=2),
        m.GlobalAveragePooling1D(keepdims=True),
        m.Flatten(),
        m.Dense(10, "softmax"),
    ],
}
INPUTS = (
    {name: (24, 20) for name in ARCHITECTURES}
    | {name: (24, 12, 14, 2) for name in IMAGES}
    | {name: (24, 13, 2) for name in SEQUENCES}
)
LOSSES = [
    # name or (class, arguments), last activation, y
    ("mse", "linear", normal(24, 10, seed=3)),
    ("mae", "tanh", normal(24, 10, seed=3)),
    ("huber", "linear", 3 * normal(24, 10, seed=3)),
    (("Huber", {"delta": 0.3}), "linear", normal(24, 10, seed=3)),
    ("hinge", "tanh", one_hot(24, 10)),
    ("hinge", "linear", np.sign(normal(24, 10, seed=3))),
    ("mean_absolute_percentage_error", "softplus", 1 + np.abs(normal(24, 10, seed=3))),
    ("msle", "linear", np.abs(normal(24, 10, seed=3))),
    ("poisson", "softplus", np.abs(normal(24, 10, seed=3))),
    ("log_cosh", "linear", 3 * normal(24, 10, seed=3)),
    ("squared_hinge", "tanh", one_hot(24, 10)),
    ("categorical_hinge", "softmax", one_hot(24, 10)),
    ("cosine_similarity", "linear", normal(24, 10, seed=3)),
    ("kl_divergence", "softmax", one_hot(24, 10)),
    ("binary_crossentropy", "sigmoid", one_hot(24, 10)),
    (("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}), "linear", one_hot(24, 10)),
    ("binary_crossentropy", "softmax", one_hot(24, 10)),
    ("categorical_crossentropy", "softmax", one_hot(24, 10)),
    (("CategoricalCrossentropy", {"label_smoothing": 0.2}), "softmax", one_hot(24, 10)),
    (("CategoricalCrossentropy", {"from_logits": True}), "linear", one_hot(24, 10)),
    ("categorical_crossentropy", "softplus", one_hot(24, 10)),
    ("sparse_categorical_crossentropy", "softmax", classes(24, 10)),
    ("sparse_categorical_crossentropy", "softmax", classes(24, 10, 1)),
    ("sparse_categorical_crossentropy", "sigmoid", classes(24, 10)),
    (("SparseCategoricalCrossentropy", {"from_logits": True}), "linear", classes(24, 10)),
]


def pair(build, shape, loss, optimizer, **metrics):
    """Return Keras's model and ours with the same weights."""
    theirs = keras.Sequential([keras.Input(shape), *build(keras.layers)])
    ours = Sequential([layers.Input(shape), *build(layers)])
    rng = np.random.default_rng(5)
    weights = [
        rng.uniform(0.5, 1.5, w.shape) if "variance" in v.path else rng.normal(scale=0.3, size=w.shape)
        for w, v in zip(theirs.get_weights(), theirs.weights, strict=True)
    ]
    for model, home, opt_home in ((theirs, keras.losses, keras.optimizers), (ours, losses, optimizers)):
        model.set_weights([w.astype(np.float32) for w in weights])
        made = loss if isinstance(loss, str) else getattr(home, loss[0])(**loss[1])
        name, arguments = optimizer
        model.compile(getattr(opt_home, name)(**arguments), made, **metrics)
    return theirs, ours


def check_steps(theirs, ours, x, y, steps=5, weights=None, tolerance=TOLERANCE):
    for _ in range(steps):
        theirs.reset_metrics()
        expected = theirs.train_on_batch(x, y, sample_weight=weights, return_dict=True)
        logs = ours.train_on_batch(x, y, sample_weight=weights, return_dict=True)
        for key, value in expected.items():
            assert logs[key] == pytest.approx(float(value), rel=tolerance, abs=tolerance), key
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    theirs.reset_metrics()
    expected = theirs.test_on_batch(x, y, sample_weight=weights, return_dict=True)
    logs = ours.test_on_batch(x, y, sample_weight=weights, return_dict=True)
    for key, value in expected.items():
        assert logs[key] == pytest.approx(float(value), rel=tolerance, abs=tolerance), key
    np.testing.assert_allclose(
        ours.predict_on_batch(x), theirs.predict_on_batch(x), rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("name", INPUTS)
def test_five_updates_equal_keras(name):
    build = (ARCHITECTURES | IMAGES | SEQUENCES)[name]
    x = normal(*INPUTS[name])

    models = pair(
        build,
        x.shape[1:],
        "sparse_categorical_crossentropy",
        ("Adam", {"epsilon": 1e-3}),
        metrics=["accuracy"],
    )

    check_steps(*models, x, classes(24, 10))


@pytest.mark.parametrize("name", INPUTS)
def test_gradients_equal_keras(name):
    # A step of plain SGD with a rate of 1 subtracts the gradient from the weights.
    build = (ARCHITECTURES | IMAGES | SEQUENCES)[name]
    x = normal(*INPUTS[name])
    theirs, ours = pair(
        build, x.shape[1:], "sparse_categorical_crossentropy", ("SGD", {"learning_rate": 1.0})
    )
    before = ours.get_weights()

    for model in (theirs, ours):
        model.train_on_batch(x, classes(24, 10))

    for start, a, b in zip(before, ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(start - a, start - b, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("loss", "last", "y"), LOSSES, ids=str)
def test_five_updates_equal_keras_for_every_loss(loss, last, y, weighted):
    weights = np.random.default_rng(4).random(24).astype(np.float32) if weighted else None

    def build(m):
        return [m.Dense(12, "tanh"), m.Dense(10, last)]

    models = pair(build, (20,), loss, ("SGD", {"learning_rate": 0.1}))

    check_steps(*models, normal(24, 20), y, weights=weights)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam", "AdamW", "Adagrad"])
def test_five_updates_equal_keras_for_every_optimizer(name):
    # With a small epsilon, a gradient of about 0 by rounding would become a full step.
    arguments = {"weight_decay": 0.01, "clipnorm": 1.0} | ({} if name == "SGD" else {"epsilon": 1e-3})
    models = pair(ARCHITECTURES["two dense"], (20,), "sparse_categorical_crossentropy", (name, arguments))

    check_steps(*models, normal(24, 20), classes(24, 10))


@pytest.mark.parametrize(
    ("loss", "last", "y"),
    [
        ("mse", "linear", normal(24, 5, 4, seed=3)),
        ("sparse_categorical_crossentropy", "softmax", classes(24, 4, 5)),
        ("binary_crossentropy", "sigmoid", (normal(24, 5, 4, seed=3) > 0).astype(np.float32)),
    ],
)
def test_five_updates_equal_keras_over_sequences(loss, last, y):
    def build(m):
        return [m.Embedding(11, 6), m.Dense(8, "tanh"), m.LayerNormalization(), m.Dense(4, last)]

    theirs, ours = pair(build, (5,), loss, ("SGD", {"learning_rate": 0.1}), metrics=["accuracy"])

    weights = np.linspace(0, 2, 24, dtype=np.float32)[:, None]
    check_steps(theirs, ours, classes(24, 11, 5, seed=6), y, weights=weights)


@pytest.mark.parametrize("weighted", [False, True])
def test_fit_logs_the_same_values_as_keras(weighted):
    x, y = normal(50, 20), classes(50, 10)
    weights = np.random.default_rng(4).random(50).astype(np.float32) if weighted else None
    models = pair(
        ARCHITECTURES["two dense"],
        (20,),
        "sparse_categorical_crossentropy",
        ("RMSprop", {"epsilon": 1e-3}),
        metrics=["accuracy", "sparse_top_k_categorical_accuracy"],
        weighted_metrics=["accuracy", "sparse_categorical_crossentropy"],
    )

    theirs, ours = (
        model.fit(x, y, 16, 3, 0, sample_weight=weights, shuffle=False, validation_split=0.3).history
        for model in models
    )

    assert set(ours) == set(theirs)
    for key in theirs:
        np.testing.assert_allclose(ours[key], theirs[key], rtol=TOLERANCE, atol=TOLERANCE, err_msg=key)


@pytest.mark.parametrize(
    "name", ["linear", "relu", "leaky_relu", "elu", "gelu", "sigmoid", "tanh", "softplus", "softmax"]
)
def test_activations_equal_keras(name):
    x = 4 * normal(30, 7)

    expected = keras.ops.convert_to_numpy(keras.activations.get(name)(keras.ops.convert_to_tensor(x)))

    np.testing.assert_allclose(activations.get(name)(x), expected, rtol=TOLERANCE, atol=1e-6)


def test_weights_are_listed_in_the_order_of_keras():
    def build(m):
        return [m.Conv2D(3, 2), m.BatchNormalization(), m.Flatten(), m.Dense(4), m.LayerNormalization()]

    theirs, ours = pair(build, (5, 6, 2), "mse", ("SGD", {}))

    assert [v.name for v in ours.weights] == [v.path.split("/")[-1] for v in theirs.weights]
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in theirs.get_weights()]
    assert [layer.name for layer in ours.layers] == [
        # Keras numbers layers per process, onstage per model.
        "conv2d",
        "batch_normalization",
        "flatten",
        "dense",
        "layer_normalization",
    ]
