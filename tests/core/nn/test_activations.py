import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage import activations
from onstage.nn.special import erf

X = np.array([-30.0, -2.5, -1.0, -0.1, 0.0, 0.1, 1.0, 2.5, 30.0])

FORMULAS = {
    "linear": lambda x: x,
    "relu": lambda x: max(x, 0.0),
    "leaky_relu": lambda x: x if x > 0 else 0.2 * x,
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "gelu": lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
    "softplus": lambda x: math.log(1 + math.exp(x)),
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_its_formula(name, dtype):
    y = activations.get(name)(X.astype(dtype))

    expected = [FORMULAS[name](float(x)) for x in X]
    np.testing.assert_allclose(y, expected, rtol=1e-12 if dtype == np.float64 else 2e-6, atol=1e-7)
    assert y.dtype == dtype


def test_softmax_sums_to_one_along_the_last_axis_and_keeps_ratios():
    x = np.random.default_rng(0).normal(size=(2, 3, 4))

    y = activations.softmax(x)

    np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-12)
    np.testing.assert_allclose(y[..., 1:] / y[..., :1], np.exp(x[..., 1:] - x[..., :1]), rtol=1e-12)


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "softmax", "gelu", "elu", "tanh"])
@pytest.mark.parametrize("size", [1e4, 1e30, 3e38])
def test_huge_values_neither_overflow_nor_become_nan(name, size):
    with np.errstate(over="raise", invalid="raise"):
        y = activations.get(name)(np.array([[-size, 0.0, size / 2]], np.float32) / 10)

    assert np.isfinite(y).all()


def test_approximate_gelu_is_the_tanh_formula():
    x = np.linspace(-4, 4, 17)

    y = activations.GELU(approximate=True)(x)

    expected = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    np.testing.assert_allclose(y, expected, rtol=1e-12)


@given(st.floats(-40, 40))
def test_error_function_equals_that_of_the_math_module(x):
    assert erf(np.array([x]))[0] == pytest.approx(math.erf(x), abs=3e-15)


def test_a_scalar_and_a_list_of_integers_are_accepted():
    assert activations.relu(-3.0).shape == ()
    np.testing.assert_array_equal(activations.relu([-1, 2]), [0, 2])


def test_the_argument_is_not_modified():
    x = np.array([[-1.0, 2.0]])

    activations.relu(x)
    activations.softmax(x)

    np.testing.assert_array_equal(x, [[-1.0, 2.0]])


def test_an_unknown_name_is_refused_with_a_suggestion():
    with pytest.raises(ValueError, match=r"activation must be one of .*, got 'rellu'; did you mean 'relu'\?"):
        activations.get("rellu")


def test_a_plain_function_is_refused_and_the_message_names_the_remedy():
    with pytest.raises(TypeError, match=r"subclass onstage.activations.Activation"):
        activations.get(np.cos)


@pytest.mark.parametrize(
    "activation", [activations.LeakyReLU(0.3), activations.ELU(0.5), activations.GELU(True), activations.tanh]
)
def test_a_configuration_rebuilds_the_same_object(activation):
    from onstage.nn.serialization import serialize

    again = activations.get(serialize(activation))

    np.testing.assert_array_equal(again(X), activation(X))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: activations.LeakyReLU(-1), "negative_slope must be a number in"),
        (lambda: activations.ELU(0), "alpha must be a number > 0, got 0"),
        (lambda: activations.GELU(1), "approximate must be True or False, got 1"),
    ],
)
def test_an_argument_out_of_range_is_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()
