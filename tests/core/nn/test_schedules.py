"""Schedules: rates computed by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.nn import schedules
from onstage.nn.schedules import (
    CosineDecay,
    ExponentialDecay,
    LearningRateSchedule,
    PiecewiseConstantDecay,
    PolynomialDecay,
)


def test_exponential_decay_multiplies_once_per_decay_steps():
    schedule = ExponentialDecay(0.8, decay_steps=10, decay_rate=0.25)

    assert [schedule(step) for step in (0, 5, 10, 20)] == pytest.approx([0.8, 0.4, 0.2, 0.05])


def test_staircase_keeps_the_rate_constant_within_decay_steps():
    schedule = ExponentialDecay(0.8, decay_steps=10, decay_rate=0.25, staircase=True)

    assert [schedule(step) for step in (0, 9, 10, 19, 20)] == pytest.approx([0.8, 0.8, 0.2, 0.2, 0.05])


def test_cosine_decay_is_half_at_half_time_and_constant_after_its_end():
    schedule = CosineDecay(1.0, decay_steps=100)

    assert [schedule(step) for step in (0, 50, 100, 1000)] == pytest.approx([1.0, 0.5, 0.0, 0.0])


def test_alpha_is_the_fraction_of_the_rate_that_remains():
    schedule = CosineDecay(2.0, decay_steps=100, alpha=0.1)

    assert [schedule(step) for step in (0, 50, 100)] == pytest.approx([2.0, 1.1, 0.2])


def test_warmup_rises_linearly_to_its_target():
    schedule = CosineDecay(0.0, decay_steps=100, alpha=0.5, warmup_target=1.0, warmup_steps=10)

    assert [schedule(step) for step in (0, 5, 10, 60, 110, 999)] == pytest.approx(
        [0.0, 0.5, 1.0, 0.75, 0.5, 0.5]
    )


def test_a_boundary_is_the_last_step_of_its_rate():
    schedule = PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.1])

    assert [schedule(step) for step in (0, 10, 11, 20, 21, 999)] == [1.0, 1.0, 0.5, 0.5, 0.1, 0.1]


def test_without_boundaries_the_rate_is_constant():
    assert PiecewiseConstantDecay([], [0.3])(7) == 0.3


def test_polynomial_decay_falls_with_a_power_of_the_remaining_steps():
    line = PolynomialDecay(1.0, decay_steps=10, end_learning_rate=0.5)
    parabola = PolynomialDecay(1.0, decay_steps=10, end_learning_rate=0.0, power=2.0)

    assert [line(step) for step in (0, 5, 10, 99)] == pytest.approx([1.0, 0.75, 0.5, 0.5])
    assert [parabola(step) for step in (0, 5, 10, 99)] == pytest.approx([1.0, 0.25, 0.0, 0.0])


def test_each_cycle_restarts_the_decay_over_more_steps():
    schedule = PolynomialDecay(1.0, decay_steps=10, end_learning_rate=0.0, cycle=True)

    # Over 10 steps to 0, then over 20 from a half to 0, then over 30 from a third.
    assert [schedule(step) for step in (0, 10, 15, 20, 24, 30)] == pytest.approx(
        [1.0, 0.0, 0.25, 0.0, 0.2, 0.0]
    )


ALL = [
    ExponentialDecay(0.1, 7, 0.9, staircase=True),
    CosineDecay(0.1, 50, alpha=0.2, warmup_target=0.3, warmup_steps=4),
    PiecewiseConstantDecay([5, 9], [0.3, 0.2, 0.1]),
    PolynomialDecay(0.1, 20, end_learning_rate=0.01, power=2.0, cycle=True),
]


@pytest.mark.parametrize("schedule", ALL, ids=lambda each: type(each).__name__)
def test_configuration_rebuilds_the_same_schedule(schedule):
    again = schedules.get({"class_name": type(schedule).__name__, "config": schedule.get_config()})

    assert type(again) is type(schedule)
    assert [again(step) for step in range(60)] == [schedule(step) for step in range(60)]
    assert schedules.get(schedule) is schedule


@given(st.integers(0, 10**9), st.sampled_from(ALL))
def test_rates_are_floats_within_their_range(step, schedule):
    rate = schedule(step)

    assert type(rate) is float
    assert 0.0 <= rate <= 0.3


def test_a_custom_schedule_needs_only_to_define_call():
    class Halving(LearningRateSchedule):
        def __call__(self, step):
            return 0.5**step

    assert Halving()(3) == 0.125
    with pytest.raises(NotImplementedError, match="Halving must define get_config"):
        Halving().get_config()
    with pytest.raises(NotImplementedError, match="must define __call__"):
        LearningRateSchedule()(0)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (
            lambda: ExponentialDecay(-1, 5, 0.5),
            ValueError,
            "initial_learning_rate must be a number >= 0, got -1",
        ),
        (lambda: ExponentialDecay(1, 0, 0.5), ValueError, "decay_steps must be an integer >= 1, got 0"),
        (lambda: ExponentialDecay(1, 2.5, 0.5), TypeError, r"decay_steps must be an integer >= 1, got 2\.5"),
        (lambda: ExponentialDecay(1, 5, 0), ValueError, "decay_rate must be a number > 0, got 0"),
        (lambda: ExponentialDecay(1, 5, 0.5, staircase="yes"), TypeError, "staircase must be True or False"),
        (lambda: CosineDecay(1, 5, alpha=2), ValueError, r"alpha must be a number in \[0, 1\], got 2"),
        (lambda: CosineDecay(1, 5, warmup_steps=-1), ValueError, "warmup_steps must be an integer >= 0"),
        (lambda: PiecewiseConstantDecay([1], [1.0]), ValueError, "one more than boundaries, got 1 for 1"),
        (
            lambda: PiecewiseConstantDecay([5, 5], [1, 2, 3]),
            ValueError,
            "boundaries must be strictly increasing",
        ),
        (lambda: PolynomialDecay(1, 5, power=0), ValueError, "power must be a number > 0, got 0"),
        (
            lambda: schedules.get({"class_name": "CosineDekay", "config": {}}),
            ValueError,
            "got 'CosineDekay'; did you mean 'CosineDecay'",
        ),
        (lambda: schedules.get(0.1), TypeError, r"schedule must be a name, .* or an instance, got 0\.1"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(make, kind, message):
    with pytest.raises(kind, match=message):
        make()
