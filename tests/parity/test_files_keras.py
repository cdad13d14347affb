"""Files of Keras: each library opens the other's, and goes on training to the same numbers."""

import json
import os
import zipfile

import numpy as np
import pytest
from onstage_model_checkpoint import ModelCheckpoint

import onstage
from onstage import load_model
from onstage.errors import StateError

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")
h5py = pytest.importorskip("h5py")
# Raised by Keras when it converts a torch tensor to numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(24, 6)).astype("float32")
IMAGES = RNG.normal(size=(24, 8, 9, 2)).astype("float32")
NUMBERS = RNG.integers(0, 7, size=(24, 5)).astype("float32")
CLASSES = RNG.integers(0, 3, size=24)
STEPS = 4


def dense(library):
    inside, regularizers = library.layers, library.regularizers
    return VECTORS, [
        inside.Input((6,)),
        inside.Dense(5, "relu", kernel_initializer="he_normal", bias_initializer="ones"),
        inside.Dense(4, kernel_regularizer=regularizers.L1L2(1e-3, 1e-3), use_bias=False, name="middle"),
        inside.Activation("gelu"),
        inside.Dense(4, "leaky_relu", trainable=False),
        inside.Dense(3, "softmax", bias_regularizer="l2"),
    ]


def normalized(library):
    inside = library.layers
    return VECTORS, [
        inside.Input((6,)),
        inside.Dense(8, "elu", use_bias=False),  # Before a BatchNormalization its gradient would be noise.
        inside.BatchNormalization(momentum=0.8, epsilon=1e-2),
        inside.Dense(8, "tanh"),
        inside.LayerNormalization(epsilon=1e-2),
        inside.Dense(8, "softplus", trainable=False),
        inside.BatchNormalization(center=False, gamma_initializer=library.initializers.Constant(0.5)),
        inside.LayerNormalization(scale=False),
        inside.Dense(3, "softmax"),
    ]


def images(library):
    inside = library.layers
    return IMAGES, [
        inside.Input((8, 9, 2)),
        inside.Conv2D(4, (3, 2), padding="same", activation="relu", kernel_regularizer="l1"),
        inside.MaxPooling2D(2),
        inside.Conv2D(3, 2, strides=2, use_bias=False),
        inside.AveragePooling2D((1, 2), strides=1, padding="same"),
        inside.Conv2D(3, 2, dilation_rate=2, padding="same"),
        inside.Flatten(),
        inside.Dense(3, "softmax"),
    ]


def pooled(library):
    inside = library.layers
    return IMAGES, [
        inside.Input((8, 9, 2)),
        inside.Conv2D(4, 3, use_bias=False),
        inside.BatchNormalization(),
        inside.GlobalAveragePooling2D(keepdims=True),
        inside.Reshape((2, -1)),
        inside.Dropout(0.0),
        inside.Flatten(),
        inside.Dense(3, "softmax"),
    ]


def embedded(library):
    inside = library.layers
    return NUMBERS, [
        inside.Input((5,)),
        inside.Embedding(7, 4, embeddings_regularizer="l2"),
        inside.Flatten(),
        inside.Dense(3, "softmax"),
    ]


MODELS = [dense, normalized, images, pooled, embedded]


def optimizers(library):
    made, decay = library.optimizers, library.optimizers.schedules if library is keras else library.schedules
    return {
        "sgd": lambda: made.SGD(0.05),
        "momentum": lambda: made.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
        "rmsprop": lambda: made.RMSprop(0.01),
        "rmsprop with all": lambda: made.RMSprop(0.01, rho=0.8, momentum=0.5, centered=True),
        "adam": lambda: made.Adam(0.01, clipnorm=1.0),
        "amsgrad": lambda: made.Adam(0.01, beta_1=0.8, beta_2=0.9, epsilon=1e-5, amsgrad=True),
        "average": lambda: made.Adam(0.01, use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=2),
        "adamw": lambda: made.AdamW(0.01, weight_decay=0.1),
        "adagrad": lambda: made.Adagrad(0.05, initial_accumulator_value=0.2),
        "exponential": lambda: made.SGD(decay.ExponentialDecay(0.1, 2, 0.5), momentum=0.5),
        "cosine": lambda: made.Adam(decay.CosineDecay(0.01, 9, warmup_target=0.05, warmup_steps=2)),
        "piecewise": lambda: made.SGD(decay.PiecewiseConstantDecay([2, 4], [0.1, 0.05, 0.01])),
        "polynomial": lambda: made.RMSprop(decay.PolynomialDecay(0.01, 8, power=2.0)),
    }


NAMES = list(optimizers(keras))


def trained(library, architecture, optimizer="momentum", steps=STEPS, **options):
    """Return a model of a library after some steps, and its data."""
    x, layers = architecture(library)
    model = library.Sequential(layers)
    options = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], **options}
    model.compile(optimizers(library)[optimizer](), **options)
    rng = np.random.default_rng(1)
    weights = [rng.uniform(0.1, 0.5, each.shape) for each in model.get_weights()]
    model.set_weights([each * rng.choice([-1, 1], each.shape) if each.ndim > 1 else each for each in weights])
    go_on(model, x, steps)
    return model, x


def go_on(model, x, steps=STEPS):
    for _ in range(steps):
        model.train_on_batch(x, CLASSES)


def assert_same(ours, theirs, x, atol=1e-6):
    predictions = ours.predict(x, verbose=0), theirs.predict(x, verbose=0)
    np.testing.assert_allclose(*predictions, atol=atol)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=atol)


# -- both directions


@pytest.mark.parametrize("architecture", MODELS)
def test_a_model_of_keras_predicts_and_trains_on_here(tmp_path, architecture):
    theirs, x = trained(keras, architecture)
    theirs.save(tmp_path / "model.keras")

    ours = load_model(tmp_path / "model.keras")

    assert_same(ours, theirs, x)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [layer.trainable for layer in ours.layers] == [layer.trainable for layer in theirs.layers]
    for _ in range(STEPS):
        go_on(ours, x, 1)
        go_on(theirs, x, 1)
        assert_same(ours, theirs, x, 1e-5)
    assert ours.optimizer.iterations == 2 * STEPS


@pytest.mark.parametrize("architecture", MODELS)
def test_a_model_of_onstage_predicts_and_trains_on_in_keras(tmp_path, architecture):
    ours, x = trained(onstage, architecture)
    ours.save(tmp_path / "model.keras")

    theirs = keras.saving.load_model(tmp_path / "model.keras")

    assert_same(ours, theirs, x)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [layer.trainable for layer in ours.layers] == [layer.trainable for layer in theirs.layers]
    for _ in range(STEPS):
        go_on(ours, x, 1)
        go_on(theirs, x, 1)
        assert_same(ours, theirs, x, 1e-5)
    assert int(theirs.optimizer.iterations) == 2 * STEPS


@pytest.mark.parametrize("name", NAMES)
def test_the_state_of_each_optimizer_of_keras_is_continued_here(tmp_path, name):
    theirs, x = trained(keras, dense, name)
    theirs.save(tmp_path / "model.keras")

    ours = load_model(tmp_path / "model.keras")

    assert ours.learning_rate == pytest.approx(float(theirs.optimizer.learning_rate), rel=1e-6)
    for _ in range(STEPS):
        go_on(ours, x, 1)
        go_on(theirs, x, 1)
        assert_same(ours, theirs, x, 1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_state_of_each_optimizer_is_continued_in_keras(tmp_path, name):
    ours, x = trained(onstage, dense, name)
    ours.save(tmp_path / "model.keras")

    theirs = keras.saving.load_model(tmp_path / "model.keras")

    assert float(theirs.optimizer.learning_rate) == pytest.approx(ours.learning_rate, rel=1e-6)
    for _ in range(STEPS):
        go_on(ours, x, 1)
        go_on(theirs, x, 1)
        assert_same(ours, theirs, x, 1e-5)


@pytest.mark.parametrize("architecture", MODELS)
def test_weights_are_exchanged_in_both_directions(tmp_path, architecture):
    ours, _ = trained(onstage, architecture)
    theirs, _ = trained(keras, architecture, steps=STEPS + 3)
    ours.save_weights(tmp_path / "ours.weights.h5")
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    theirs.save(tmp_path / "theirs.keras")
    before, after = ours.get_weights(), theirs.get_weights()

    theirs.load_weights(tmp_path / "ours.weights.h5")
    for one, other in zip(theirs.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    for name in ("theirs.weights.h5", "theirs.keras"):
        ours.set_weights(before)
        ours.load_weights(tmp_path / name)
        for one, other in zip(ours.get_weights(), after, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("architecture", MODELS)
@pytest.mark.parametrize("name", ["adam", "average", "rmsprop with all", "cosine"])
def test_a_keras_file_of_onstage_comes_back_the_same(tmp_path, architecture, name):
    ours, x = trained(onstage, architecture, name)
    ours.save(tmp_path / "model.keras")

    again = load_model(tmp_path / "model.keras")

    assert again.optimizer.get_config() == ours.optimizer.get_config()
    for one, other in zip(again.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    go_on(ours, x)
    go_on(again, x)
    assert_same(ours, again, x, 1e-5)  # The means of Keras round, and Adam amplifies it.


# -- configuration


def in_both(ours, theirs):
    """Return the names of the classes in both modules, without base classes."""
    classes = [name for name in ours.__all__ if isinstance(getattr(ours, name), type)]
    bases = {"Loss", "Metric", "Optimizer", "MeanMetricWrapper"}
    return sorted(name for name in classes if hasattr(theirs, name) and name not in bases)


LOSSES = {name: {} for name in in_both(onstage.losses, keras.losses)}
LOSSES |= {"BinaryCrossentropy": {"label_smoothing": 0.1, "from_logits": True}}
LOSSES |= {"CategoricalCrossentropy": {"label_smoothing": 0.1}}
METRICS = {name: {} for name in in_both(onstage.metrics, keras.metrics)}
METRICS |= {
    "AUC": {"num_thresholds": 50, "curve": "PR"},
    "F1Score": {"average": "macro", "threshold": 0.5},
    "Precision": {"thresholds": 0.4},
    "SparseTopKCategoricalAccuracy": {"k": 2},
    "TopKCategoricalAccuracy": {"k": 2},
}
SPARSE = "SparseCategoricalCrossentropy", "SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy"


def is_reopened_the_same(path, writer, reader, y, **compilation):
    model = writer.Sequential([writer.layers.Input((6,)), writer.layers.Dense(3, "softmax")])
    model.compile("sgd", **compilation)
    model.train_on_batch(VECTORS, y)
    model.save(path)

    again = (load_model if reader is onstage else keras.saving.load_model)(path)

    weights = np.linspace(0.5, 1.5, len(y)).astype("float32")
    expected = model.evaluate(VECTORS, y, 8, sample_weight=weights, verbose=0, return_dict=True)
    actual = again.evaluate(VECTORS, y, 8, sample_weight=weights, verbose=0, return_dict=True)
    assert actual == pytest.approx(expected, rel=1e-5, abs=1e-6)


def targets(name):
    return CLASSES if name in SPARSE else np.eye(3, dtype="float32")[CLASSES]


both_directions = pytest.mark.parametrize(
    ("writer", "reader"), [(keras, onstage), (onstage, keras)], ids=["of Keras", "of onstage"]
)


@both_directions
@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_is_compiled_again(tmp_path, name, writer, reader):
    loss = getattr(writer.losses, name)(**LOSSES[name])

    is_reopened_the_same(tmp_path / "a.keras", writer, reader, targets(name), loss=loss)


@both_directions
@pytest.mark.parametrize("name", METRICS)
def test_each_metric_is_compiled_again(tmp_path, name, writer, reader):
    metric = getattr(writer.metrics, name)(**METRICS[name], name="measured")
    loss = "sparse_categorical_crossentropy" if name in SPARSE else "mse"

    is_reopened_the_same(
        tmp_path / "a.keras", writer, reader, targets(name), loss=loss, weighted_metrics=[metric]
    )


@both_directions
def test_names_and_losses_as_metrics_are_compiled_again(tmp_path, writer, reader):
    metrics = [
        "accuracy",
        "mae",
        writer.losses.BinaryCrossentropy(),
        writer.metrics.MeanSquaredError(name="q"),
    ]

    is_reopened_the_same(tmp_path / "a.keras", writer, reader, targets(""), loss="mse", metrics=metrics)


def test_every_optimizer_of_both_is_among_those_compared():
    compared = {type(make()).__name__ for make in optimizers(onstage).values()}

    assert compared == set(in_both(onstage.optimizers, keras.optimizers))


def test_layers_of_keras_that_are_activations_here_are_opened(tmp_path):
    inside = keras.layers
    theirs = keras.Sequential(
        [
            inside.Input((6,)),
            inside.Dense(4, activation=inside.LeakyReLU(negative_slope=0.1)),
            inside.LeakyReLU(negative_slope=0.3),
            inside.Dense(4),
            inside.ReLU(),
            inside.Dense(4),
            inside.ELU(alpha=0.5),
            inside.Dense(3),
            inside.Softmax(),
        ]
    )
    theirs.save(tmp_path / "model.keras")

    ours = load_model(tmp_path / "model.keras")

    assert_same(ours, theirs, VECTORS)
    assert ours.optimizer is None
    ours.save(tmp_path / "ours.keras")
    assert_same(ours, keras.saving.load_model(tmp_path / "ours.keras"), VECTORS)


def test_a_model_of_float64_stays_one(tmp_path):
    inside = keras.layers
    theirs = keras.Sequential(
        [inside.Input((6,)), inside.Dense(4, dtype="float64"), inside.Dense(3, dtype="float64")]
    )
    theirs.compile("adam", "mse")
    theirs.save(tmp_path / "model.keras")

    ours = load_model(tmp_path / "model.keras")
    ours.save(tmp_path / "ours.keras")
    again = keras.saving.load_model(tmp_path / "ours.keras")

    assert {each.dtype for each in ours.get_weights()} == {np.dtype("float64")}
    assert {each.dtype for each in again.get_weights()} == {np.dtype("float64")}
    assert_same(ours, theirs, VECTORS)


def quartic_loss(y, p):
    return np.mean((y - p) ** 4, axis=-1)


def quartic_loss_of_keras(y, p):
    return keras.ops.mean(keras.ops.subtract(y, p) ** 4, axis=-1)


quartic_loss_of_keras.__name__ = "quartic_loss"


class Scale(onstage.layers.Layer):
    def __init__(self, start, **options):
        super().__init__(**options)
        self.start = start

    def build(self, input_shape):
        self.gain = self.add_weight((input_shape[-1],), "ones", name="gain")

    def forward(self, x, training):
        self.x = x
        return x * (self.start + self.gain.value)

    def backward(self, gradient):
        self.gain.gradient[...] = (gradient * self.x).sum(axis=0)
        return gradient * (self.start + self.gain.value)

    def get_config(self):
        return {"start": self.start, **super().get_config()}


class KerasScale(keras.layers.Layer):
    def __init__(self, start, **options):
        super().__init__(**options)
        self.start = start

    def build(self, input_shape):
        self.gain = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="gain")

    def call(self, x):
        return x * (self.start + self.gain)

    def get_config(self):
        return {"start": self.start, **super().get_config()}


KerasScale.__name__ = "Scale"


def test_custom_layers_and_functions_are_exchanged_by_name(tmp_path):
    x, y = VECTORS / 10, VECTORS[:, :3] / 10
    ours = onstage.Sequential([onstage.layers.Input((6,)), Scale(2.0), onstage.layers.Dense(3)], seed=0)
    ours.compile("sgd", quartic_loss, metrics=[quartic_loss])
    ours.train_on_batch(x, y)
    ours.save(tmp_path / "ours.keras")
    custom = {"quartic_loss": quartic_loss}

    theirs = keras.saving.load_model(
        tmp_path / "ours.keras", {"quartic_loss": quartic_loss_of_keras, "Scale": KerasScale}
    )
    theirs.save(tmp_path / "theirs.keras")
    again = load_model(tmp_path / "theirs.keras", {**custom, "Scale": Scale})

    for model in (ours, theirs, again):
        model.train_on_batch(x, y)
    assert_same(ours, theirs, x, 1e-5)
    assert_same(ours, again, x, 1e-5)
    with pytest.raises(StateError, match="custom_objects must contain the function 'quartic_loss'"):
        load_model(tmp_path / "theirs.keras", {"Scale": Scale})
    with pytest.raises(StateError, match=r"layer must be one of .*, got 'Scale'"):
        load_model(tmp_path / "theirs.keras", custom)


def test_a_registered_custom_layer_is_found_by_either_name(tmp_path):
    Registered = keras.saving.register_keras_serializable("onstage_tests", "Scale")(KerasScale)
    theirs = keras.Sequential([keras.layers.Input((6,)), Registered(3.0)])
    theirs.save(tmp_path / "theirs.keras")

    for name in ("Scale", "onstage_tests>Scale"):
        assert_same(load_model(tmp_path / "theirs.keras", {name: Scale}), theirs, VECTORS)


def test_a_model_that_was_never_trained_keeps_its_fresh_optimizer(tmp_path):
    theirs = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(3)])
    theirs.compile("adam", "mse")
    theirs.save(tmp_path / "theirs.keras")

    ours = load_model(tmp_path / "theirs.keras")

    assert ours.optimizer.iterations == 0
    for model in (ours, theirs):
        model.train_on_batch(VECTORS, VECTORS[:, :3])
    assert_same(ours, theirs, VECTORS, 1e-5)


def test_without_compiling_only_the_weights_are_read(tmp_path):
    theirs, x = trained(keras, dense)
    theirs.save(tmp_path / "theirs.keras")

    ours = load_model(tmp_path / "theirs.keras", compile=False)

    assert ours.optimizer is None
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), atol=1e-6)


@pytest.mark.parametrize("in_background", [False, True])
def test_model_checkpoint_writes_files_of_keras(tmp_path, in_background):
    ours, x = trained(onstage, dense)
    seen = []

    class Looks(onstage.Callback):
        def on_epoch_end(self):
            seen.append(self.model.get_weights())

    options = {"save_in_background": in_background}
    ours.fit(
        x,
        CLASSES,
        epochs=3,
        verbose=0,
        callbacks=[
            ModelCheckpoint(tmp_path / "{epoch}.keras", **options),
            ModelCheckpoint(tmp_path / "w" / "{epoch}.weights.h5", save_weights_only=True, **options),
            Looks(),
        ],
    )

    for epoch, weights in enumerate(seen, start=1):
        model = keras.saving.load_model(tmp_path / f"{epoch}.keras")
        assert int(model.optimizer.iterations) == STEPS + epoch
        other, _ = trained(keras, dense)
        other.load_weights(tmp_path / "w" / f"{epoch}.weights.h5")
        for each in (model, other):
            for one, expected in zip(each.get_weights(), weights, strict=True):
                np.testing.assert_array_equal(one, expected)


# -- what onstage lacks is named


UNSUPPORTED = [
    (
        lambda inside: [inside.Input((6,)), inside.Dense(3, kernel_constraint="non_neg")],
        "Dense must have kernel_const",
    ),
    (
        lambda inside: [inside.Input((8, 8, 2)), inside.Conv2D(4, 2, groups=2)],
        "Conv2D must have groups=1, got 2",
    ),
    (
        lambda inside: [inside.Input((6,)), inside.Dense(3, dtype="mixed_float16")],
        "dtype float32, or all float64",
    ),
    (
        lambda inside: [inside.Input((6,)), inside.Dense(3), inside.Dense(2, dtype="float64")],
        "float32, float64",
    ),
    (
        lambda inside: [inside.Input((6,)), inside.ReLU(max_value=6.0)],
        "ReLU must have max_value=None, got 6.0",
    ),
    (lambda inside: [inside.Input((4, 6)), inside.BatchNormalization(axis=1)], "axis must be -1"),
    (lambda inside: [inside.Input((4, 6)), inside.LayerNormalization(axis=[1, 2])], "axis must be -1"),
    (
        lambda inside: [inside.Input((6,)), inside.Dense(3, activation="hard_silu")],
        "activation must be one of",
    ),
    (lambda inside: [inside.Input((6, 2)), inside.GRU(3)], "layer must be one of .*, got 'GRU'"),
    (lambda inside: [inside.Input((None, 2)), inside.Dense(3)], "must have a known input shape"),
]


@pytest.mark.parametrize(("layers", "message"), UNSUPPORTED)
def test_what_onstage_lacks_is_refused_by_name(tmp_path, layers, message):
    keras.Sequential(layers(keras.layers)).save(tmp_path / "model.keras")

    with pytest.raises(StateError, match=f"'.*model.keras' cannot be loaded: .*{message}"):
        load_model(tmp_path / "model.keras")


def test_a_positive_axis_that_is_the_last_is_opened(tmp_path):
    inside = keras.layers
    theirs = keras.Sequential(
        [inside.Input((4, 6)), inside.BatchNormalization(axis=2), inside.LayerNormalization(axis=2)]
    )
    theirs.save(tmp_path / "model.keras")
    x = RNG.normal(size=(5, 4, 6)).astype("float32")

    assert_same(load_model(tmp_path / "model.keras"), theirs, x)


def test_a_functional_model_is_refused(tmp_path):
    x = keras.Input((6,))
    keras.Model(x, keras.layers.Dense(3)(x)).save(tmp_path / "model.keras")

    with pytest.raises(StateError, match="must be a Sequential, got 'Functional'"):
        load_model(tmp_path / "model.keras")


def test_a_lambda_layer_runs_no_code(tmp_path):
    inside = keras.layers
    model = keras.Sequential([inside.Input((6,)), inside.Lambda(lambda x: x * 2)])
    model.save(tmp_path / "model.keras")

    with pytest.raises(StateError, match=r"layer must be one of .*, got 'Lambda'"):
        load_model(tmp_path / "model.keras")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: model.compile("nadam", "mse"), "optimizer must be one of .*, got 'Nadam'"),
        (lambda model: model.compile("adam", "mse", loss_weights=[2.0]), "loss_weights must be None"),
        (
            lambda model: model.compile("adam", keras.losses.Tversky()),
            "loss must be one of .*, got 'Tversky'",
        ),
        (
            lambda model: model.compile(keras.optimizers.SGD(gradient_accumulation_steps=2), "mse"),
            "SGD must have gradient_accumulation_steps=None, got 2",
        ),
        (
            lambda model: model.compile("adam", keras.losses.MeanSquaredError(reduction="sum")),
            "MeanSquaredError must have reduction='sum_over_batch_size' or 'auto', got 'sum'",
        ),
    ],
)
def test_a_compilation_that_onstage_lacks_is_refused_and_can_be_left_out(tmp_path, change, message):
    theirs = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(3)])
    change(theirs)
    theirs.save(tmp_path / "model.keras")

    with pytest.raises(StateError, match=message):
        load_model(tmp_path / "model.keras")
    assert_same(load_model(tmp_path / "model.keras", compile=False), theirs, VECTORS)


def test_the_archive_is_laid_out_as_keras_does(tmp_path):
    ours, _ = trained(onstage, normalized)
    theirs, _ = trained(keras, normalized)
    ours.save(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")

    def layout(name):
        with zipfile.ZipFile(tmp_path / name) as archive:
            json.loads(archive.read("config.json"))
            with h5py.File(archive.open("model.weights.h5")) as file:
                found = {}
                file.visititems(lambda path, item: found.update({path: getattr(item, "shape", None)}))
                return archive.namelist(), found

    assert layout("ours.keras") == layout("theirs.keras")
