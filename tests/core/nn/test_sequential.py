import copy
import pickle

import numpy as np
import pytest

from onstage.errors import StateError
from onstage.model import Model
from onstage.nn.layers import (
    Activation,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Input,
)
from onstage.nn.optimizers import SGD, Adam
from onstage.nn.schedules import ExponentialDecay
from onstage.nn.sequential import Sequential


def data(n=40, d_in=4, classes=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d_in)).astype(np.float32), rng.integers(classes, size=n)


def compiled_model(optimizer="adam", seed=0, **options):
    layers = [Dense(6, "relu"), BatchNormalization(), Dropout(0.2), Dense(3, "softmax")]
    model = Sequential(layers, seed=seed, **options)
    model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
    return model


# -- layers and shapes


def test_layers_are_numbered_by_kind_in_each_model():
    for _ in range(2):
        model = Sequential([Dense(2), Conv2D(2, 1), Dense(2, name="mine"), Dense(3), BatchNormalization()])

        names = [layer.name for layer in model.layers]

        assert names == ["dense", "conv2d", "mine", "dense_1", "batch_normalization"]


def test_a_name_passed_by_the_user_is_not_assigned_again():
    model = Sequential([Dense(2, name="dense_1"), Dense(2), Dense(2)])

    assert [layer.name for layer in model.layers] == ["dense_1", "dense", "dense_2"]


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [Input((4,)), Dense(2), Dense(3)],
        lambda: [Dense(2, input_shape=(4,)), Dense(3)],
    ],
)
def test_a_model_with_an_input_shape_is_built_immediately(layers):
    model = Sequential(layers())

    assert model.built
    assert (model.input_shape, model.output_shape) == ((None, 4), (None, 3))
    assert len(model.layers) == 2
    assert [w.shape for w in model.get_weights()] == [(4, 2), (2,), (2, 3), (3,)]


def test_a_model_without_an_input_shape_is_built_by_build_or_by_its_first_data():
    by_build, by_data = Sequential([Dense(2)]), Sequential([Dense(2)])
    by_build.build((None, 4))
    by_data.predict_on_batch(np.zeros((1, 4)))

    assert by_build.input_shape == by_data.input_shape == (None, 4)


def test_adding_and_popping_layers_keeps_the_other_weights():
    model = Sequential([Input((4,)), Dense(2)], seed=0)
    kernel = model.get_weights()[0]

    model.add(Dense(3))
    np.testing.assert_array_equal(model.get_weights()[0], kernel)
    assert model.output_shape == (None, 3)
    model.pop()

    np.testing.assert_array_equal(model.get_weights()[0], kernel)
    assert model.output_shape == (None, 2)


def test_a_model_trains_on_after_layers_are_added():
    x, y = data()
    model = Sequential([Dense(3, "sigmoid")], seed=0)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.train_on_batch(x, y)

    model.add(Activation("tanh"))
    model.add(Dense(3, "softmax"))

    assert model.train_on_batch(x, y) > model.fit(x, y, epochs=20, verbose=0).history["loss"][-1]


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Sequential([Dense]), TypeError, r"instances of Layer, got .*; call the class"),
        (lambda: Sequential(["dense"]), TypeError, "layers must be instances of Layer, got 'dense'"),
        (lambda: Sequential([Dense(2), Input((3,))]), ValueError, "Input must come before all layers"),
        (
            lambda: Sequential([Dense(2, name="a"), Dense(2, name="a")]),
            ValueError,
            "must be unique, got 'a' twice",
        ),
        (lambda: Sequential([Dense(2)] * 2), ValueError, "layer must not belong to a model yet, got 'dense'"),
        (
            lambda: Sequential(dtype="float16"),
            ValueError,
            "dtype must be 'float32' or 'float64', got 'float16'",
        ),
        (lambda: Sequential().pop(), TypeError, "got an empty model"),
        (lambda: Sequential().build((None, 3)), ValueError, "the model must have layers to be built"),
        (lambda: Sequential([Dense(2)]).set_weights([]), ValueError, "the model must be built first"),
        (
            lambda: Sequential([Input((3,)), Dense(2)]).build((None, 4)),
            ValueError,
            r"must be \(None, 3\), got",
        ),
    ],
)
def test_an_invalid_model_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_a_layer_of_a_model_that_failed_can_be_reused():
    layer = Dense(2)
    with pytest.raises(TypeError, match="instances of Layer"):
        Sequential([layer, "flatten"])

    assert Sequential([Input((3,)), layer]).built


def test_summary_shows_shapes_and_counts():
    lines = []
    model = Sequential(
        [Input((4, 4, 1)), Conv2D(2, 3), Flatten(), BatchNormalization(), Dense(3)], name="small"
    )

    model.summary(print_fn=lines.append)

    text = "\n".join(lines)
    assert "Model: small" in text
    assert "conv2d (Conv2D)" in text
    assert "(None, 2, 2, 2)" in text
    assert f"Total weights: {20 + 32 + 27} (trainable {20 + 16 + 27}, others 16)" in text
    assert model.count_params() == 79


# -- compiling and data


def test_compile_refuses_unknown_names():
    model = Sequential([Dense(2)])
    for arguments, message in (
        ({"optimizer": "adm", "loss": "mse"}, "did you mean 'adam'"),
        ({"loss": "mes"}, "loss must be one of"),
        ({}, "loss must be given"),
        ({"loss": "mse", "metrics": ["acuracy"]}, "metric must be one of"),
    ):
        with pytest.raises(ValueError, match=message):
            model.compile(**arguments)
    with pytest.raises(TypeError, match="metrics must be a list, such as"):
        model.compile(loss="mse", metrics="accuracy")


@pytest.mark.parametrize("call", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_an_uncompiled_model_is_refused(call):
    x, y = data()

    with pytest.raises(ValueError, match=r"You must call compile\(\) before"):
        getattr(Sequential([Dense(3)]), call)(x, y)


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (
            np.zeros((5, 7)),
            np.zeros(5, int),
            ValueError,
            r"x must have shape \(batch, 4\), the input of layer 'dense'",
        ),
        (np.zeros((5, 2, 2)), np.zeros(5, int), ValueError, r"reshape it with x.reshape\(-1, 4\)"),
        (np.zeros((5, 4)), np.zeros((5, 3)), ValueError, "for one-hot rows use 'categorical_crossentropy'"),
        (
            np.zeros((5, 4)),
            np.array([0, 1, 2, 3, 0]),
            ValueError,
            r"class numbers in \[0, 3\) .* got 0 to 3; the last",
        ),
        (
            np.zeros((5, 4)),
            np.array([0, -1, 2, 1, 0]),
            ValueError,
            r"class numbers in \[0, 3\) .* got -1 to 2",
        ),
        (np.zeros((5, 4)), None, ValueError, "y must be given"),
    ],
)
@pytest.mark.parametrize("call", ["fit", "evaluate", "train_on_batch"])
def test_data_that_does_not_fit_is_refused_before_the_first_stage(call, x, y, error, message):
    class Refuse:
        def on_train_begin(self, logs=None):
            raise AssertionError("a stage has fired")

        on_test_begin = on_train_begin

    model = compiled_model()
    model.build((None, 4))

    with pytest.raises(error, match=message):
        getattr(model, call)(
            x, y, **({} if call == "train_on_batch" else {"callbacks": [Refuse()], "verbose": 0})
        )


def test_a_batch_of_another_width_later_in_a_stream_is_refused():
    model = compiled_model()
    batches = [(np.zeros((5, 4)), np.zeros(5, int)), (np.zeros((5, 3)), np.zeros(5, int))]

    with pytest.raises(ValueError, match=r"x must have shape \(batch, 4\)"):
        model.fit(iter(batches), verbose=0)


@pytest.mark.parametrize("label", [3, -1, 4, -3, -4, 10**6, -(10**6), 10**12, -(10**12)])
@pytest.mark.parametrize("place", [0, 4])
@pytest.mark.parametrize("sample_weight", [None, np.zeros(5)])
def test_a_label_out_of_range_later_in_a_stream_is_refused(label, place, sample_weight):
    model = compiled_model()
    wrong = np.zeros(5, int)
    wrong[place] = label
    batches = [(np.zeros((5, 4)), np.zeros(5, int)), (np.zeros((5, 4)), wrong, sample_weight)]
    low, high = min(label, 0), max(label, 0)

    with pytest.raises(ValueError, match=rf"y must hold class numbers in \[0, 3\), got {low} to {high}"):
        model.fit(iter(batches), verbose=0)

    assert model.optimizer.iterations == 1


def test_a_nan_loss_with_valid_labels_is_not_an_error():
    model = compiled_model()

    loss, _ = model.train_on_batch(np.full((5, 4), np.inf), np.zeros(5, int))

    assert np.isnan(loss)


def test_integers_for_an_embedding_are_checked_before_training():
    model = Sequential([Embedding(4, 2), Flatten(), Dense(1)])
    model.compile("sgd", "mse")

    with pytest.raises(ValueError, match="input_dim must be larger"):
        model.fit(np.array([[1], [4]]), np.zeros((2, 1)), verbose=0)


# -- training


def test_sequential_implements_the_model_protocol():
    model = compiled_model()
    model.build((None, 4))

    assert isinstance(model, Model)


def test_the_same_seed_gives_the_same_bits():
    x, y = data()
    runs = []
    for seeds in ((1, 2), (1, 2), (1, 3), (4, 2)):
        model = compiled_model(seed=seeds[0])
        model.build((None, 4))
        model.fit(x, y, 16, epochs=3, verbose=0, seed=seeds[1])
        runs.append(np.concatenate([w.ravel() for w in model.get_weights()]))

    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0] != runs[2]).any()
    assert (runs[0] != runs[3]).any()


def test_the_seed_of_the_model_alone_reproduces_a_run():
    x, y = data()
    runs = []
    for _ in range(2):
        model = compiled_model(seed=1)
        model.fit(x, y, 16, epochs=2, verbose=0)
        runs.append(model.get_weights())

    for a, b in zip(*runs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_learning_rate_reads_and_sets_that_of_the_optimizer():
    model = compiled_model(SGD(0.5))
    model.build((None, 4))

    model.learning_rate = 0.25

    assert model.learning_rate == model.optimizer.learning_rate == 0.25


def test_learning_rate_cannot_be_set_under_a_schedule():
    x, y = data(8)
    model = compiled_model(SGD(ExponentialDecay(0.5, 1, 0.5)))
    model.train_on_batch(x, y)

    assert model.learning_rate == pytest.approx(0.25)
    with pytest.raises(TypeError, match="ExponentialDecay and cannot be set"):
        model.learning_rate = 0.1


def test_an_uncompiled_model_has_no_learning_rate():
    assert not hasattr(Sequential([Dense(2)]), "learning_rate")


def test_finalize_weights_replaces_the_weights_by_the_average():
    x, y = data()
    model = Sequential([Dense(3, "softmax")], seed=0)
    model.compile(Adam(0.1, use_ema=True, ema_momentum=0.5), "sparse_categorical_crossentropy")
    seen = []
    model.build((None, 4))
    for _ in range(3):
        model.train_on_batch(x, y)
        seen.append(model.get_weights()[0])

    model.finalize_weights()

    average = seen[0]
    for later in seen[1:]:
        average = 0.5 * average + 0.5 * later
    np.testing.assert_allclose(model.get_weights()[0], average, rtol=1e-5)


# -- weights and state


def test_weights_are_in_the_order_of_keras():
    model = Sequential([Input((4,)), Dense(2), BatchNormalization()], seed=0)
    model.layers[1].moving_mean.value[...] = 7

    shapes = [w.shape for w in model.get_weights()]

    assert shapes == [(4, 2), (2,), (2,), (2,), (2,), (2,)]
    assert [v.name for v in model.layers[1].weights] == ["gamma", "beta", "moving_mean", "moving_variance"]
    np.testing.assert_array_equal(model.get_weights()[4], [7, 7])


def test_get_weights_returns_copies():
    model = Sequential([Input((4,)), Dense(2)], seed=0)

    model.get_weights()[0][...] = 9

    assert not (model.get_weights()[0] == 9).any()


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([np.zeros((4, 2))], ValueError, "weights must be 2 arrays, got 1"),
        ([np.zeros((2, 4)), np.zeros(2)], ValueError, r"kernel must have shape \(4, 2\), got \(2, 4\)"),
        ([np.zeros((4, 2)), np.array(["a", "b"])], TypeError, "bias must be numbers"),
    ],
)
def test_weights_that_do_not_fit_change_nothing(weights, error, message):
    model = Sequential([Input((4,)), Dense(2)], seed=0)
    before = model.get_weights()

    with pytest.raises(error, match=message):
        model.set_weights(weights)

    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_restored_model_trains_on_bit_for_bit():
    x, y = data()
    whole, first, second = compiled_model(), compiled_model(), compiled_model(seed=5)
    second.build((None, 4))
    for _ in range(2):
        whole.train_on_batch(x, y)
        first.train_on_batch(x, y)

    second.load_state_dict(first.state_dict())
    for model in (whole, second):
        model.train_on_batch(x, y)

    for a, b in zip(whole.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert whole.state_dict()["rng"] == second.state_dict()["rng"]


@pytest.mark.parametrize("part", ["weights", "optimizer", "rng"])
def test_a_state_with_a_damaged_part_changes_nothing(part):
    x, y = data()
    model = compiled_model()
    model.train_on_batch(x, y)
    damaged = model.state_dict()
    some = dict(list(damaged["weights"].items())[1:])
    damaged[part] = {"weights": some, "optimizer": {"slots": {}}, "rng": {"state": 3}}[part]
    model.train_on_batch(x, y)
    before = model.state_dict()

    with pytest.raises(StateError):
        model.load_state_dict(damaged)

    for a, b in zip(before["weights"].values(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.state_dict()["rng"] == before["rng"]
    assert model.optimizer.iterations == 2


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_trains_independently(copied):
    x, y = data()
    model = compiled_model()
    model.train_on_batch(x, y)

    twin = copied(model)
    before = model.get_weights()
    twin.train_on_batch(x, y)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.train_on_batch(x, y)

    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert twin.optimizer.iterations == 2
