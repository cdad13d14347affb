import math

import numpy as np
import pytest

from onstage import losses
from onstage.nn.layers import Activation, Dense
from onstage.nn.sequential import Sequential

P = np.array([[0.2, 0.7, 0.1], [0.5, 0.25, 0.25]])
ONE_HOT = np.array([[0, 1, 0], [1, 0, 0]])


@pytest.mark.parametrize(
    ("loss", "y_true", "y_pred", "expected"),
    [
        ("mse", [[0.0, 2.0]], [[1.0, 4.0]], (1 + 4) / 2),
        ("mae", [[0.0, 2.0]], [[1.0, 4.0]], (1 + 2) / 2),
        (losses.Huber(1.0), [[0.0, 0.0]], [[0.5, 3.0]], (0.125 + 2.5) / 2),
        ("mape", [[2.0, -4.0]], [[3.0, -4.0]], 100 * (1 / 2 + 0) / 2),
        ("msle", [[0.0, math.e - 1]], [[math.e**2 - 1, 0.0]], (4 + 1) / 2),
        ("msle", [[math.e - 1]], [[-5.0]], 1.0),
        ("poisson", [[2.0, 1.0]], [[math.e, 1.0]], (math.e - 2 + 1) / 2),
        ("log_cosh", [[0.0, 0.0]], [[1.0, -1000.0]], (math.log(math.cosh(1)) + 1000 - math.log(2)) / 2),
        ("squared_hinge", [[1.0, -1.0]], [[-1.0, -2.0]], 4 / 2),
        ("squared_hinge", [[1.0, 0.0]], [[0.5, 0.5]], (0.25 + 2.25) / 2),
        ("categorical_hinge", [[0.0, 1.0, 0.0]], [[0.5, 0.2, 0.3]], 1 + 0.5 - 0.2),
        ("categorical_hinge", [[0.0, 1.0]], [[0.5, 2.0]], 0.0),
        ("cosine_similarity", [[3.0, 4.0]], [[4.0, 3.0]], -24 / 25),
        ("cosine_similarity", [[3.0, 4.0]], [[0.0, 0.0]], 0.0),
        ("kld", [[0.5, 0.5]], [[0.25, 0.75]], 0.5 * math.log(2) + 0.5 * math.log(2 / 3)),
        (losses.Huber(2.0), [[0.0, 0.0]], [[0.5, 3.0]], (0.125 + 4.0) / 2),
        ("hinge", [[-1.0, 1.0]], [[0.5, 0.25]], (1.5 + 0.75) / 2),
        ("hinge", [[0.0, 1.0]], [[0.5, 0.25]], (1.5 + 0.75) / 2),
        ("binary_crossentropy", [[1.0], [0.0]], [[0.8], [0.4]], -(math.log(0.8) + math.log(0.6)) / 2),
        ("categorical_crossentropy", ONE_HOT, P, -(math.log(0.7) + math.log(0.5)) / 2),
        ("sparse_categorical_crossentropy", [1, 0], P, -(math.log(0.7) + math.log(0.5)) / 2),
        ("sparse_categorical_crossentropy", [[1], [0]], P, -(math.log(0.7) + math.log(0.5)) / 2),
        (
            losses.CategoricalCrossentropy(label_smoothing=0.3),
            ONE_HOT[:1],
            P[:1],
            -(0.1 * math.log(0.2) + 0.8 * math.log(0.7) + 0.1 * math.log(0.1)),
        ),
        (
            losses.BinaryCrossentropy(label_smoothing=0.2),
            [[1.0]],
            [[0.8]],
            -(0.9 * math.log(0.8) + 0.1 * math.log(0.2)),
        ),
    ],
)
def test_equals_the_value_by_hand(loss, y_true, y_pred, expected):
    value = losses.get(loss)(np.array(y_true), np.array(y_pred))

    assert value == pytest.approx(expected, rel=1e-6)


def test_weighted_losses_are_divided_by_the_number_of_samples():
    value = losses.MeanSquaredError()([[0.0], [0.0], [0.0]], [[1.0], [2.0], [3.0]], [1.0, 0.5, 0.0])

    assert value == pytest.approx((1 + 2 + 0) / 3)


@pytest.mark.parametrize(
    ("kind", "y"),
    [
        (losses.CategoricalCrossentropy, ONE_HOT),
        (losses.SparseCategoricalCrossentropy, np.array([1, 0])),
    ],
)
def test_a_loss_from_logits_equals_that_of_their_softmax(kind, y):
    logits = np.log(P) + 3.0

    assert kind(from_logits=True)(y, logits) == pytest.approx(kind()(y, P), rel=1e-7)


def test_a_loss_from_logits_equals_that_of_their_sigmoid():
    logits = np.log(P / (1 - P))

    value = losses.BinaryCrossentropy(from_logits=True)(ONE_HOT, logits)

    assert value == pytest.approx(losses.BinaryCrossentropy()(ONE_HOT, P), rel=1e-7)


@pytest.mark.parametrize(
    ("kind", "y", "expected"),
    [
        (losses.SparseCategoricalCrossentropy, [0], 2e5),
        (losses.CategoricalCrossentropy, [[1.0, 0.0]], 2e5),
        (losses.BinaryCrossentropy, [[1.0, 1.0]], 5e4),
    ],
)
def test_huge_logits_neither_overflow_nor_lose_precision(kind, y, expected):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value = kind(from_logits=True)(np.array(y), np.array([[-1e5, 1e5]], np.float32))

    assert value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("kind", "y", "expected"),
    [
        (losses.SparseCategoricalCrossentropy, [0], -math.log(1e-7)),
        (losses.CategoricalCrossentropy, [[1.0, 0.0]], -math.log(1e-7)),
        (losses.BinaryCrossentropy, [[1.0, 1.0]], (-math.log(1e-7) - math.log(1 - 1e-7)) / 2),
    ],
)
def test_probabilities_of_zero_and_one_are_clipped_as_in_keras(kind, y, expected):
    assert kind()(np.array(y), np.array([[0.0, 1.0]])) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("last", "loss", "y", "expected"),
    [
        ("softmax", "sparse_categorical_crossentropy", np.array([0]), 2e4),
        ("softmax", "categorical_crossentropy", np.array([[1.0, 0.0]]), 2e4),
        ("sigmoid", "binary_crossentropy", np.array([[1.0, 0.0]]), 1e4),
    ],
)
@pytest.mark.parametrize("as_layer", [False, True])
def test_an_output_rounded_to_zero_still_has_a_loss_and_a_gradient(last, loss, y, expected, as_layer):
    # exp(-2e4) is 0 in float32, so only the logits determine the loss.
    layers = [Dense(2, use_bias=False), Activation(last)] if as_layer else [Dense(2, last, use_bias=False)]
    model = Sequential(layers)
    model.compile("sgd", loss)
    model.build((None, 2))
    model.set_weights([np.array([[-1e4, 0.0], [0.0, 1e4]])])

    value = model.train_on_batch(np.ones((1, 2)), y)

    assert value == pytest.approx(expected)
    assert model.get_weights()[0][0, 0] > -1e4


@pytest.mark.parametrize("name", ["mse", "MSE", "mean_squared_error", "MeanSquaredError"])
def test_a_loss_is_found_by_each_of_its_names(name):
    assert isinstance(losses.get(name), losses.MeanSquaredError)


def test_an_unknown_name_is_refused_with_a_suggestion():
    with pytest.raises(ValueError, match=r"did you mean 'binary_crossentropy'\?"):
        losses.get("binary_crossentrop")


def test_a_functions_derivatives_are_returned_or_estimated():
    x, y = np.random.default_rng(0).normal(size=(2, 8, 3))
    weights = []
    for loss in (
        "mse",
        lambda y, p: ((y - p) ** 2).mean(axis=-1),
        lambda y, p: (((y - p) ** 2).mean(axis=-1), 2 * (p - y) / 3),
        lambda y, p: (y - p) ** 2,
    ):
        model = Sequential([Dense(3)], seed=0, dtype="float64")
        model.compile("sgd", loss)
        model.train_on_batch(x, y)
        weights.append(model.get_weights()[0])

    for other in weights[1:]:
        np.testing.assert_allclose(other, weights[0], rtol=1e-8)


def test_a_function_that_returns_one_number_for_the_batch_is_refused():
    model = Sequential([Dense(3)])
    model.compile("sgd", lambda y, p: ((y - p) ** 2).mean())

    with pytest.raises(ValueError, match=r"must return one value for each of the 4 samples, got shape \(\)"):
        model.train_on_batch(np.zeros((4, 3)), np.zeros((4, 3)))


@pytest.mark.parametrize(
    ("loss", "y_shape", "message"),
    [
        ("mse", (4, 2), r"y must have the shape of the model's output, \(batch, 3\), .* got \(batch, 2\)"),
        (
            "sparse_categorical_crossentropy",
            (4, 3),
            r"y must have shape \(batch,\) .* 'categorical_crossentropy'",
        ),
        (
            "categorical_crossentropy",
            (4,),
            r"the shape of the model's output, \(batch, 3\), .* got \(batch,\)",
        ),
    ],
)
def test_a_target_of_the_wrong_shape_is_refused(loss, y_shape, message):
    with pytest.raises(ValueError, match=message):
        losses.get(loss)(np.zeros(y_shape), np.zeros((4, 3)))


@pytest.mark.parametrize(("labels", "message"), [([0, 3], "got 0 to 3"), ([-1, 1], "got -1 to 1")])
def test_a_label_out_of_range_is_refused_in_any_batch(labels, message):
    with pytest.raises(ValueError, match=rf"y must hold class numbers in \[0, 3\), {message}"):
        losses.SparseCategoricalCrossentropy()(np.array(labels), np.ones((2, 3)))


@pytest.mark.parametrize(
    "loss",
    [losses.Huber(0.5), losses.BinaryCrossentropy(True, 0.1), losses.CategoricalCrossentropy(True, 0.2)],
)
def test_a_configuration_rebuilds_the_same_object(loss):
    from onstage.nn.serialization import serialize

    assert losses.get(serialize(loss)).get_config() == loss.get_config()


@pytest.mark.parametrize(
    ("loss", "last", "x", "message"),
    [
        (
            "binary_crossentropy",
            "linear",
            [2.0, 0.5],
            r"got 0\.5 to 2; .* BinaryC.*\(from_logits=True\)",
        ),
        ("binary_crossentropy", "linear", [-1.0, 0.5], r"got -1 to 0\.5"),
        ("categorical_crossentropy", "tanh", [-50.0, 0.0], r"got -1 to 0; end the model with a softmax"),
    ],
)
def test_logits_in_place_of_probabilities_are_refused_with_the_remedy(loss, last, x, message):
    model = Sequential([Activation(last)], dtype="float64")
    model.compile("sgd", loss)

    for run in (model.test_on_batch, model.train_on_batch):
        with pytest.raises(ValueError, match="outputs must be probabilities for the loss.*" + message):
            run(np.array([x]), np.array([[1.0, 0.0]]))


def test_logits_of_a_sparse_loss_are_refused():
    model = Sequential([Activation("linear")])
    model.compile("sgd", "sparse_categorical_crossentropy")

    with pytest.raises(ValueError, match=r"SparseCategoricalCrossentropy\(from_logits=True\)"):
        model.train_on_batch(np.array([[-1.0, 2.0]]), np.array([0]))


def test_a_probability_that_rounding_moved_above_one_is_not_taken_for_a_logit():
    model = Sequential([Activation("linear")], dtype="float64")
    model.compile("sgd", "binary_crossentropy")

    assert model.test_on_batch(np.array([[1 + 1e-6]]), np.array([[1.0]])) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.filterwarnings("ignore:x holds NaN")
def test_nan_is_not_taken_for_a_logit():
    model = Sequential([Activation("linear")], dtype="float64")
    model.compile("sgd", "binary_crossentropy")

    assert np.isnan(model.test_on_batch(np.array([[np.nan]]), np.array([[1.0]])))


def test_a_loss_function_returns_the_loss_of_each_sample():
    assert losses.mse([[0.0, 2.0], [1.0, 1.0]], [[1.0, 4.0], [1.0, 1.0]]).tolist() == [2.5, 0.0]
    assert losses.huber([[0.0]], [[3.0]], delta=2.0).tolist() == [4.0]
    assert losses.kl_divergence([[[1.0, 0.0]] * 3], [[[0.5, 0.5]] * 3]).shape == (1, 3)
    assert losses.binary_crossentropy([[1.0]], [[0.0]], from_logits=True) == pytest.approx(math.log(2))


@pytest.mark.parametrize("function", [losses.mse, losses.cosine_similarity, losses.hinge])
def test_a_loss_function_passed_to_compile_stands_for_its_class(function):
    assert losses.get(function).name == function.__name__
    assert not isinstance(losses.get(function), losses.FunctionLoss)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("MAPE", losses.MeanAbsolutePercentageError),
        ("msle", losses.MeanSquaredLogarithmicError),
        ("KLD", losses.KLDivergence),
        ("kl_divergence", losses.KLDivergence),
        ("kullback_leibler_divergence", losses.KLDivergence),
        ("logcosh", losses.LogCosh),
        ("log_cosh", losses.LogCosh),
        ("CosineSimilarity", losses.CosineSimilarity),
        ("poisson", losses.Poisson),
    ],
)
def test_losses_have_the_names_of_keras(name, kind):
    assert type(losses.get(name)) is kind
