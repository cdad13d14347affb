"""Initializers: computed values, and distributions of random ones."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onstage.nn import initializers
from onstage.nn.initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Ones,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
    fans,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_constant_initializers_return_their_constant(rng):
    assert (Zeros()((2, 3), rng) == 0).all()
    assert (Ones()((2, 3), rng) == 1).all()
    assert (Constant(0.5)((2, 3), rng) == 0.5).all()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), (1, 1)), ((7,), (7, 7)), ((3, 5), (3, 5)), ((3, 2, 4, 8), (24, 48)), ((3, 4, 8), (12, 24))],
)
def test_fans_of_a_convolution_include_its_window(shape, expected):
    assert fans(shape) == expected


SHAPE = (3, 3, 40, 90)
FAN_IN, FAN_OUT = 360, 810

UNIFORM = [
    (GlorotUniform(), 6 / (FAN_IN + FAN_OUT)),
    (HeUniform(), 6 / FAN_IN),
    (LecunUniform(), 3 / FAN_IN),
    (VarianceScaling(2.0, "fan_out", "uniform"), 6 / FAN_OUT),
    (RandomUniform(-0.2, 0.2), 0.2**2),
]


@pytest.mark.parametrize(("initializer", "limit_squared"), UNIFORM, ids=lambda x: type(x).__name__)
def test_uniform_values_are_evenly_distributed_within_their_limits(initializer, limit_squared, rng):
    values, limit = initializer(SHAPE, rng, np.float64), math.sqrt(limit_squared)

    assert 0.999 * limit < np.abs(values).max() <= limit
    share, _ = np.histogram(values / limit, bins=10, range=(-1, 1))
    assert share / values.size == pytest.approx(0.1, abs=0.01)


NORMAL = [
    (GlorotNormal(), 2 / (FAN_IN + FAN_OUT)),
    (HeNormal(), 2 / FAN_IN),
    (LecunNormal(), 1 / FAN_IN),
    (VarianceScaling(3.0, "fan_out"), 3 / FAN_OUT),
]


@pytest.mark.parametrize(("initializer", "variance"), NORMAL, ids=lambda x: type(x).__name__)
def test_truncated_normal_values_have_the_requested_variance(initializer, variance, rng):
    values, deviation = initializer(SHAPE, rng, np.float64), math.sqrt(variance)

    assert values.mean() == pytest.approx(0.0, abs=4 * deviation / math.sqrt(values.size))
    assert values.std() == pytest.approx(deviation, rel=0.01)
    # Truncated at two deviations of the whole distribution.
    assert np.abs(values).max() <= 2 * deviation / 0.87962566103423978


def test_the_correction_is_the_deviation_of_a_truncated_normal():
    # Its variance is 1 - 2 * 2 * density(2) / probability(-2 to 2).
    density = math.exp(-2.0) / math.sqrt(2 * math.pi)

    expected = math.sqrt(1 - 4 * density / math.erf(math.sqrt(2)))

    assert pytest.approx(expected, rel=1e-12) == initializers.TRUNCATED_STDDEV


def test_untruncated_normal_values_have_the_requested_mean_and_deviation(rng):
    plain = RandomNormal(0.5, 0.1)(SHAPE, rng, np.float64)
    scaled = VarianceScaling(1.0, "fan_avg", "untruncated_normal")(SHAPE, rng, np.float64)

    assert plain.mean() == pytest.approx(0.5, abs=0.002)
    assert plain.std() == pytest.approx(0.1, rel=0.01)
    assert scaled.std() == pytest.approx(math.sqrt(2 / (FAN_IN + FAN_OUT)), rel=0.01)
    assert (np.abs(scaled) > 2 * scaled.std()).any()


def test_truncated_normal_stays_within_two_deviations(rng):
    values = TruncatedNormal(1.0, 0.1)(SHAPE, rng, np.float64)

    assert 0.8 <= values.min() < 0.81
    assert 1.19 < values.max() <= 1.2


@given(rows=st.integers(1, 8), columns=st.integers(1, 8), gain=st.floats(0.1, 3), seed=st.integers(0, 99))
@settings(deadline=None)
def test_orthogonal_rows_or_columns_are_orthonormal_times_gain(rows, columns, gain, seed):
    matrix = Orthogonal(gain)((rows, columns), np.random.default_rng(seed), np.float64)

    gram = matrix.T @ matrix if rows >= columns else matrix @ matrix.T
    assert gram == pytest.approx(gain**2 * np.eye(min(rows, columns)), abs=1e-12)


def test_orthogonal_combines_all_axes_but_the_last_to_rows(rng):
    matrix = Orthogonal()((3, 3, 2, 5), rng, np.float64).reshape(18, 5)

    assert matrix.T @ matrix == pytest.approx(np.eye(5), abs=1e-12)


def test_orthogonal_signs_follow_no_convention_of_qr():
    firsts = [Orthogonal()((4, 4), np.random.default_rng(seed))[0, 0] for seed in range(200)]

    assert 60 < sum(first > 0 for first in firsts) < 140


def test_a_vector_cannot_be_orthogonal(rng):
    with pytest.raises(ValueError, match=r"at least two axes to be orthogonal, got \(3,\)"):
        Orthogonal()((3,), rng)


EVERY = [
    *(Zeros(), Ones(), Constant(0.5), RandomNormal(0.1, 0.2), TruncatedNormal(seed=3), RandomUniform(0, 1)),
    *(VarianceScaling(2.0, "fan_avg", "uniform"), Orthogonal(2.0), GlorotUniform(7), GlorotNormal()),
    *(HeUniform(), HeNormal(), LecunUniform(), LecunNormal()),
]


@pytest.mark.parametrize("initializer", EVERY, ids=lambda each: type(each).__name__)
def test_values_are_new_contiguous_and_of_the_requested_type(initializer, rng):
    for dtype in (np.float32, np.float64):
        values = initializer((4, 6), rng, dtype)

        assert (values.shape, values.dtype) == ((4, 6), dtype)
        assert values.flags.c_contiguous
        assert values.flags.writeable
    assert initializer((4, 6), rng).dtype == np.float32


@pytest.mark.parametrize("initializer", EVERY, ids=lambda each: type(each).__name__)
def test_configuration_rebuilds_the_same_initializer(initializer):
    again = initializers.get({"class_name": type(initializer).__name__, "config": initializer.get_config()})

    expected = initializer((4, 6), np.random.default_rng(1))
    assert np.array_equal(again((4, 6), np.random.default_rng(1)), expected)


@pytest.mark.parametrize("initializer", [GlorotUniform(), HeNormal(), Orthogonal(), RandomNormal()])
def test_values_are_determined_by_the_generator(initializer):
    first, second = (initializer((5, 5), np.random.default_rng(3)) for _ in range(2))
    rng = np.random.default_rng(3)

    assert np.array_equal(first, second)
    assert not np.array_equal(initializer((5, 5), rng), initializer((5, 5), rng))


def test_the_initializers_seed_overrides_the_generator(rng):
    initializer = HeNormal(seed=5)

    assert np.array_equal(initializer((5, 5), rng), initializer((5, 5), rng))


def test_a_function_with_the_signature_of_keras_is_an_initializer(rng):
    initializer = initializers.get(lambda shape, dtype=None: np.full(shape, 2.0, dtype))

    assert initializer((2, 2), rng).tolist() == [[2.0, 2.0], [2.0, 2.0]]
    with pytest.raises(TypeError, match="is a function and cannot be saved"):
        initializer.get_config()


def test_a_function_may_take_the_generator(rng):
    initializer = initializers.get(lambda shape, rng, dtype: rng.standard_normal(shape))

    expected = np.random.default_rng(0).standard_normal((2, 2))
    assert initializer((2, 2), rng, np.float64).tolist() == expected.tolist()


def test_an_array_is_copied_as_the_initial_value(rng):
    array = np.array([1.0, 2.0], np.float32)
    initializer = initializers.get(array)

    values = initializer((2,), rng)
    values[0] = 9.0

    assert array.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match=r"initializer array must have the shape \(3,\), got \(2,\)"):
        initializer((3,), rng)
    with pytest.raises(TypeError, match="cannot be saved"):
        initializer.get_config()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("zeros", Zeros), ("zero", Zeros), ("ones", Ones), ("one", Ones), ("constant", Constant)),
        *(("glorot_uniform", GlorotUniform), ("GlorotUniform", GlorotUniform), ("he_normal", HeNormal)),
        *(("lecun_uniform", LecunUniform), ("orthogonal", Orthogonal), ("random_normal", RandomNormal)),
        *(("normal", RandomNormal), ("random_uniform", RandomUniform), ("uniform", RandomUniform)),
        *(("truncated_normal", TruncatedNormal), ("variance_scaling", VarianceScaling), (HeNormal, HeNormal)),
    ],
)
def test_names_are_those_of_keras(name, kind):
    assert type(initializers.get(name)) is kind


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: initializers.get("he_norml"), ValueError, "got 'he_norml'; did you mean 'he_normal'"),
        (
            lambda: initializers.get(3),
            TypeError,
            "initializer must be a name, a configuration or an instance",
        ),
        (
            lambda: initializers.get(int),
            TypeError,
            "initializer must be a name, a configuration or an instance",
        ),
        (lambda: VarianceScaling(0), ValueError, "scale must be a number > 0, got 0"),
        (lambda: VarianceScaling(mode="fan"), ValueError, "mode must be one of 'fan_in', .*, got 'fan'"),
        (lambda: VarianceScaling(distribution="x"), ValueError, "distribution must be one of"),
        (lambda: RandomNormal(stddev=-1), ValueError, "stddev must be a number >= 0, got -1"),
        (lambda: RandomUniform(1.0, 0.0), ValueError, r"maxval must be a number >= 1, got 0\.0"),
        (lambda: HeNormal(seed=1.5), TypeError, r"seed must be an integer >= 0, got 1\.5"),
        (lambda: Constant("x"), TypeError, "value must be a number, got 'x'"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_a_subclass_must_define_draw_or_call(rng):
    with pytest.raises(NotImplementedError, match="must define __call__"):
        initializers.Initializer()((2,), rng)
    with pytest.raises(NotImplementedError, match="must define draw"):
        initializers.RandomInitializer()((2,), rng)
