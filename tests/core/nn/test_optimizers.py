"""Optimizers: update formulas by hand, clipping, decay and averages, and their state."""

import copy
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onstage import errors
from onstage.nn import optimizers
from onstage.nn.optimizers.blocks import BLOCK
from onstage.nn.schedules import ExponentialDecay, PiecewiseConstantDecay

NAMES = ["sgd", "rmsprop", "adam", "adamw", "adagrad"]


def build_on(optimizer, weights, slices=None):
    """Build an optimizer on a copy of the weights; return both."""
    parameters = np.array(weights, np.float64)
    optimizer.build(parameters, slices)
    return optimizer, parameters


def steps(optimizer, weights, *gradients, slices=None):
    optimizer, parameters = build_on(optimizer, weights, slices)
    for each in gradients:
        optimizer.apply(np.array(each, np.float64))
    return parameters


def test_sgd_subtracts_the_gradient_times_the_rate():
    assert steps(optimizers.SGD(0.1), [1.0, 2.0], [10.0, -1.0]) == pytest.approx([0.0, 2.1])


def test_momentum_applies_a_fraction_of_the_last_change_again():
    # v: -1, then 0.5 * -1 - 1 = -1.5
    assert steps(optimizers.SGD(0.1, momentum=0.5), [0.0], [10.0], [10.0]) == pytest.approx([-2.5])


def test_nesterov_looks_ahead_by_the_momentum():
    # v = -1, then w += 0.5 * v - 1
    after_one = steps(optimizers.SGD(0.1, momentum=0.5, nesterov=True), [0.0], [10.0])
    assert after_one == pytest.approx([-1.5])


def test_first_step_of_adam_equals_the_learning_rate_for_any_gradient():
    weights = steps(optimizers.Adam(0.01, epsilon=0.0), [1.0, 1.0, 1.0], [1e-3, -5.0, 100.0])

    assert weights == pytest.approx([0.99, 1.01, 0.99])


def test_amsgrad_divides_by_the_largest_mean_square_so_far():
    # beta_2 = 0: v is g² of the step, its maximum stays 16; beta_1 = 0: m is g.
    optimizer = optimizers.Adam(1.0, beta_1=0.0, beta_2=0.0, epsilon=0.0, amsgrad=True)

    assert steps(optimizer, [0.0], [4.0], [1.0]) == pytest.approx([-1.0 - 1.0 / 4.0])


def test_rmsprop_divides_by_the_root_of_the_mean_square():
    # v = 0.1 * 4 = 0.4
    assert steps(optimizers.RMSprop(0.5, epsilon=0.0), [0.0], [2.0]) == pytest.approx([-0.5 * 2 / 0.4**0.5])


def test_centered_rmsprop_divides_by_the_standard_deviation():
    # v = 0.4, mean = 0.2: variance 0.36
    optimizer = optimizers.RMSprop(0.5, epsilon=0.0, centered=True)

    assert steps(optimizer, [0.0], [2.0]) == pytest.approx([-0.5 * 2 / 0.6])


def test_centered_rmsprop_stays_finite_for_equal_gradients():
    parameters = np.zeros(50, np.float32)
    optimizer = optimizers.RMSprop(centered=True)
    optimizer.build(parameters)
    gradients = np.linspace(1, 1e4, 50, dtype=np.float32)

    for _ in range(300):
        optimizer.apply(gradients.copy())

    assert np.isfinite(parameters).all()


def test_adagrad_divides_by_the_root_of_the_sum_of_squares():
    optimizer = optimizers.Adagrad(1.0, initial_accumulator_value=7.0, epsilon=0.0)

    assert steps(optimizer, [0.0], [3.0], [3.0]) == pytest.approx([-3.0 / 4.0 - 3.0 / 5.0])


def test_weight_decay_is_applied_before_the_update():
    assert steps(optimizers.SGD(0.1, weight_decay=0.5), [2.0], [1.0]) == pytest.approx([2.0 * 0.95 - 0.1])


def test_adamw_decays_by_default():
    assert steps(optimizers.AdamW(0.1), [2.0], [0.0]) == pytest.approx([2.0 * (1 - 0.1 * 0.004)])


def test_clipnorm_clips_each_variable_on_its_own():
    parts = [slice(0, 2), slice(2, 4)]
    weights = steps(optimizers.SGD(1.0, clipnorm=1.0), np.zeros(4), [3.0, 4.0, 0.3, 0.4], slices=parts)

    assert weights == pytest.approx([-0.6, -0.8, -0.3, -0.4])


def test_global_clipnorm_clips_all_gradients_together():
    parts = [slice(0, 1), slice(1, 2)]
    weights = steps(optimizers.SGD(1.0, global_clipnorm=1.0), np.zeros(2), [3.0, 4.0], slices=parts)

    assert weights == pytest.approx([-0.6, -0.8])


def test_clipvalue_limits_each_element():
    assert steps(optimizers.SGD(1.0, clipvalue=0.5), np.zeros(3), [3.0, -4.0, 0.1]) == pytest.approx(
        [-0.5, 0.5, -0.1]
    )


@pytest.mark.parametrize("limit", ["clipnorm", "global_clipnorm"])
@pytest.mark.parametrize("broken", [np.nan, np.inf])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_gradient_that_cannot_be_clipped_makes_all_weights_nan(limit, broken):
    assert np.isnan(steps(optimizers.SGD(1.0, **{limit: 1.0}), np.zeros(2), [1.0, broken])).all()


def test_average_starts_at_the_weights_after_the_first_step():
    optimizer, weights = build_on(optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75), [8.0])

    optimizer.apply(np.array([4.0]))
    assert (weights[0], optimizer.ema_average[0]) == (4.0, 4.0)
    optimizer.apply(np.array([4.0]))
    assert (weights[0], optimizer.ema_average[0]) == (0.0, 3.0)


def test_the_average_replaces_the_weights_at_the_overwrite_frequency():
    optimizer, weights = build_on(
        optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75, ema_overwrite_frequency=2), [8.0]
    )

    optimizer.apply(np.array([4.0]))
    assert weights[0] == 4.0
    optimizer.apply(np.array([4.0]))
    assert weights[0] == 3.0


def test_finalize_replaces_the_weights_by_the_average():
    optimizer, weights = build_on(optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75), [8.0])
    optimizer.apply(np.array([4.0]))
    optimizer.apply(np.array([4.0]))

    optimizer.finalize()

    assert weights[0] == 3.0


@pytest.mark.parametrize("options", [{}, {"use_ema": True}])
def test_finalize_before_the_first_step_changes_nothing(options):
    optimizer, weights = build_on(optimizers.SGD(1.0, **options), [8.0])
    weights[:] = 5.0

    optimizer.finalize()

    assert weights[0] == 5.0


def test_swapping_twice_restores_the_weights():
    optimizer, weights = build_on(optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75), [8.0])
    optimizer.apply(np.array([4.0]))
    optimizer.apply(np.array([4.0]))

    optimizer.swap_ema_average()
    assert (weights[0], optimizer.ema_average[0]) == (3.0, 0.0)
    optimizer.swap_ema_average()
    assert (weights[0], optimizer.ema_average[0]) == (0.0, 3.0)


def test_swapping_without_an_average_is_refused():
    optimizer, _ = build_on(optimizers.SGD(), [1.0])

    with pytest.raises(ValueError, match="use_ema must be True"):
        optimizer.swap_ema_average()


def plain_step(name, w, g, t, slots):
    """Update formulas of the papers, on whole arrays."""
    if name == "sgd":
        return w - 0.01 * g
    if name == "rmsprop":
        slots["v"] = 0.9 * slots.get("v", 0.0) + 0.1 * g**2
        return w - 0.001 * g / np.sqrt(slots["v"] + 1e-7)
    if name == "adagrad":
        slots["a"] = slots.get("a", 0.1) + g**2
        return w - 0.001 * g / np.sqrt(slots["a"] + 1e-7)
    if name == "adamw":
        w = w - 0.001 * 0.004 * w
    slots["m"] = 0.9 * slots.get("m", 0.0) + 0.1 * g
    slots["v"] = 0.999 * slots.get("v", 0.0) + 0.001 * g**2
    mean, square = slots["m"] / (1 - 0.9**t), slots["v"] / (1 - 0.999**t)
    # Applied after the correction, the paper's epsilon is 1 / sqrt(1 - 0.999^t) times as large.
    return w - 0.001 * mean / (np.sqrt(square) + 1e-7 / np.sqrt(1 - 0.999**t))


@given(
    name=st.sampled_from(NAMES),
    size=st.sampled_from([1, 2, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_updating_in_blocks_equals_the_formula_on_whole_arrays(name, size, seed):
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal(size)
    optimizer, parameters = build_on(optimizers.get(name), weights)
    slots = {}

    for t in range(1, 6):
        gradients = rng.standard_normal(size)
        optimizer.apply(gradients.copy())
        weights = plain_step(name, weights, gradients, t, slots)

    np.testing.assert_allclose(parameters, weights, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.SGD(momentum=0.9, nesterov=True),
        optimizers.RMSprop(momentum=0.5, centered=True, clipnorm=1.0),
        optimizers.AdamW(amsgrad=True, use_ema=True, ema_overwrite_frequency=3),
        optimizers.Adagrad(global_clipnorm=1.0),
    ],
    ids=lambda each: each.name,
)
def test_a_step_allocates_no_arrays(optimizer):
    parameters = np.ones(4 * BLOCK, np.float32)
    gradients = np.ones_like(parameters)
    optimizer.build(parameters, [slice(0, BLOCK), slice(BLOCK, 4 * BLOCK)])
    optimizer.apply(gradients)

    tracemalloc.start()
    for _ in range(5):
        optimizer.apply(gradients)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    # Small Python objects only; one block of an array would be 32 KiB.
    assert peak < 8192


@pytest.mark.parametrize("name", NAMES)
def test_weights_keep_their_type(name):
    optimizer = optimizers.get(name)
    parameters = np.ones(10, np.float32)
    optimizer.build(parameters)

    optimizer.apply(np.ones(10, np.float32))

    assert optimizer.ema_average is None
    assert {each.dtype for each in optimizer.state_dict()["slots"].values()} <= {np.dtype(np.float32)}


def all_options():
    return [
        optimizers.SGD(momentum=0.9, use_ema=True),
        optimizers.RMSprop(momentum=0.5, centered=True),
        optimizers.Adam(amsgrad=True),
        optimizers.AdamW(use_ema=True, ema_momentum=0.9),
        optimizers.Adagrad(),
        optimizers.SGD(ExponentialDecay(0.1, 3, 0.5), momentum=0.5),
    ]


@pytest.mark.parametrize("index", range(6))
def test_a_restored_optimizer_continues_bit_for_bit(index):
    rng = np.random.default_rng(7)
    gradients = rng.standard_normal((8, 20)).astype(np.float32)
    first, second = all_options()[index], all_options()[index]
    weights = rng.standard_normal(20).astype(np.float32)
    first.build(weights)
    for each in gradients[:4]:
        first.apply(each.copy())

    resumed = weights.copy()
    second.build(resumed)
    second.load_state_dict(first.state_dict())
    for each in gradients[4:]:
        first.apply(each.copy())
        second.apply(each.copy())

    assert np.array_equal(weights, resumed)
    assert second.iterations == 8
    for name, values in first.state_dict()["slots"].items():
        assert np.array_equal(values, second.state_dict()["slots"][name])


def test_state_is_a_copy():
    optimizer, _ = build_on(optimizers.Adam(), [1.0])
    optimizer.apply(np.array([1.0]))
    state = optimizer.state_dict()
    before = copy.deepcopy(state)

    optimizer.apply(np.array([1.0]))

    assert state == before


def test_restoring_a_state_restores_the_learning_rate():
    optimizer, _ = build_on(optimizers.SGD(0.5), [1.0])
    state = optimizer.state_dict()
    optimizer.learning_rate = 0.1

    optimizer.load_state_dict(state)

    assert optimizer.learning_rate == 0.5


def broken_states():
    good = {
        "iterations": 3,
        "learning_rate": 0.1,
        "slots": {"gradient_sum": np.ones(2), "square_sum": np.ones(2)},
    }
    slots = good["slots"]
    return {
        "must have iterations, learning_rate and slots": {"iterations": 3},
        "must have the slots": good | {"slots": {"velocity": np.ones(2)}},
        r"'square_sum' must be \(2,\) of float64, got \(3,\)": good
        | {"slots": slots | {"square_sum": np.ones(3)}},
        "float64, got .* of float32": good | {"slots": slots | {"square_sum": np.ones(2, np.float32)}},
        "iterations must be an integer >= 0, got -1": good | {"iterations": -1},
        "learning_rate must be a number >= 0, got 'fast'": good | {"learning_rate": "fast"},
        "learning_rate must be a number >= 0, got nan": good | {"learning_rate": float("nan")},
        "one with a number as learning_rate, got one with a schedule": good | {"learning_rate": None},
        "got list": [1, 2],
    }


@pytest.mark.parametrize("message", list(broken_states()))
def test_a_state_that_does_not_fit_changes_nothing(message):
    optimizer, _ = build_on(optimizers.Adam(0.2), [1.0, 2.0])
    optimizer.apply(np.array([1.0, 1.0]))
    before = optimizer.state_dict()

    with pytest.raises(errors.StateError, match=message):
        optimizer.load_state_dict(broken_states()[message])

    after = optimizer.state_dict()
    assert (after["iterations"], after["learning_rate"]) == (before["iterations"], before["learning_rate"])
    for name, values in before["slots"].items():
        assert np.array_equal(values, after["slots"][name])


def test_learning_rate_is_the_argument():
    optimizer = optimizers.Adam(learning_rate=0.001)
    assert optimizer.learning_rate == 0.001

    optimizer.learning_rate = np.float32(0.5)
    assert optimizer.learning_rate == 0.5
    assert isinstance(optimizer.learning_rate, float)


def test_a_rate_set_between_steps_takes_effect_at_the_next():
    optimizer, weights = build_on(optimizers.SGD(1.0), [0.0])
    optimizer.apply(np.array([1.0]))

    optimizer.learning_rate = 0.25
    optimizer.apply(np.array([1.0]))

    assert weights[0] == -1.25


def test_a_schedule_is_called_with_the_number_of_steps_made():
    optimizer, weights = build_on(optimizers.SGD(PiecewiseConstantDecay([0], [1.0, 0.25])), [0.0])

    optimizer.apply(np.array([1.0]))
    optimizer.apply(np.array([1.0]))

    assert weights[0] == -1.25
    assert optimizer.learning_rate == 0.25


def test_a_rate_cannot_be_set_under_a_schedule():
    optimizer = optimizers.SGD(ExponentialDecay(0.1, 10, 0.5))

    with pytest.raises(
        TypeError, match=r"follows ExponentialDecay and cannot be set to .*; make the optimizer"
    ):
        optimizer.learning_rate = 0.5


def test_a_schedule_can_replace_another():
    optimizer = optimizers.SGD(ExponentialDecay(0.1, 10, 0.5))

    optimizer.learning_rate = PiecewiseConstantDecay([5], [2.0, 1.0])

    assert optimizer.learning_rate == 2.0


@pytest.mark.parametrize("index", range(6))
def test_configuration_rebuilds_the_same_optimizer(index):
    optimizer = all_options()[index]

    again = optimizers.get({"class_name": type(optimizer).__name__, "config": optimizer.get_config()})

    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()
    assert again.learning_rate == optimizer.learning_rate


@pytest.mark.parametrize("name", ["SGD", "sgd", "RMSprop", "rmsprop", "AdamW", "adamw", "Adagrad"])
def test_names_are_those_of_keras(name):
    assert type(optimizers.get(name)).__name__.lower() == name.lower()


def test_get_returns_an_instance_unchanged():
    optimizer = optimizers.Adam()

    assert optimizers.get(optimizer) is optimizer


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: optimizers.get("adan"), ValueError, "got 'adan'; did you mean 'adam'"),
        (
            lambda: optimizers.get(3),
            TypeError,
            "optimizer must be a name, a configuration or an instance, got 3",
        ),
        (lambda: optimizers.get({"config": {}}), ValueError, "keys 'class_name' and 'config'"),
        (
            lambda: optimizers.Adam(beta1=0.9),
            TypeError,
            "Adam has no argument 'beta1'; did you mean 'beta_1'",
        ),
        (lambda: optimizers.SGD(weight_deacy=1), TypeError, "did you mean 'weight_decay'"),
        (lambda: optimizers.SGD(learning_rate=-1), ValueError, "learning_rate must be a number >= 0, got -1"),
        (lambda: optimizers.SGD(float("nan")), ValueError, "learning_rate must be a number >= 0, got nan"),
        (lambda: optimizers.SGD("0.1"), TypeError, "learning_rate must be a number >= 0 or a Learning"),
        (lambda: optimizers.SGD(lambda step: 0.1), TypeError, "subclass LearningRateSchedule"),
        (lambda: optimizers.SGD(True), TypeError, "learning_rate must be a number >= 0, got True"),
        (lambda: optimizers.SGD(momentum=1.5), ValueError, r"momentum must be a number in \[0, 1\], got 1.5"),
        (lambda: optimizers.SGD(nesterov=1), TypeError, "nesterov must be True or False, got 1"),
        (lambda: optimizers.Adam(beta_2=1.0), ValueError, r"beta_2 must be a number in \[0, 1\), got 1.0"),
        (lambda: optimizers.RMSprop(epsilon="x"), TypeError, "epsilon must be a number >= 0, got 'x'"),
        (
            lambda: optimizers.AdamW(weight_decay=None),
            TypeError,
            "weight_decay must be a number >= 0, got None",
        ),
        (lambda: optimizers.SGD(clipnorm=0), ValueError, "clipnorm must be a number > 0, got 0"),
        (
            lambda: optimizers.SGD(clipnorm=1, clipvalue=1),
            ValueError,
            "at most one of clipnorm, clipvalue and",
        ),
        (lambda: optimizers.SGD(ema_momentum=2), ValueError, r"ema_momentum must be a number in \[0, 1\]"),
        (lambda: optimizers.SGD(ema_overwrite_frequency=0), ValueError, "must be an integer >= 1, got 0"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_parameters_must_be_flat_floats():
    for wrong in (np.zeros((2, 2)), np.zeros(3, int), np.zeros(6)[::2]):
        with pytest.raises(ValueError, match="parameters must be one flat, contiguous array of floats"):
            optimizers.SGD().build(wrong)


def test_gradients_must_fit_the_parameters():
    optimizer, _ = build_on(optimizers.SGD(), [1.0, 2.0])

    with pytest.raises(
        ValueError, match=r"gradients must have the parameters' shape \(2,\) and type float64"
    ):
        optimizer.apply(np.zeros(3))
    with pytest.raises(ValueError, match=r"got .* and float32"):
        optimizer.apply(np.zeros(2, np.float32))


def test_an_error_about_a_step_before_build_names_build():
    with pytest.raises(ValueError, match="call build"):
        optimizers.SGD().apply(np.zeros(2))


def test_a_copy_updates_the_parameters_of_the_copy():
    optimizer, weights = build_on(optimizers.SGD(1.0, use_ema=True), [1.0])
    gradients = np.array([1.0])
    optimizer.apply(gradients)

    twin, twin_weights, twin_gradients = copy.deepcopy((optimizer, weights, gradients))
    twin.apply(twin_gradients)

    assert (weights[0], twin_weights[0]) == (0.0, -1.0)
    assert twin.ema_average[0] == pytest.approx(-0.01)


def test_a_custom_optimizer_needs_only_to_define_update():
    class SignDescent(optimizers.Optimizer):
        def __init__(self, learning_rate=0.1, **options):
            super().__init__(learning_rate, **options)

        def update(self, block, constants):
            np.sign(block.gradients, block.scratch)
            np.multiply(block.scratch, constants[0], block.scratch)
            np.subtract(block.weights, block.scratch, block.weights)

    assert steps(SignDescent(0.5, weight_decay=1.0), [4.0, 2.0], [-9.0, 0.1]) == pytest.approx([2.5, 0.5])
    with pytest.raises(
        TypeError, match="SignDescent has no argument 'learning_rat'; did you mean 'learning_rate'"
    ):
        SignDescent(learning_rat=0.1)
