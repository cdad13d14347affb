"""The numbers of an optimizer that callbacks read, and set between steps."""

import copy
import pickle

import numpy as np
import pytest

from onstage.errors import StateError
from onstage.nn import optimizers
from onstage.nn.schedules import ExponentialDecay


def build_on(optimizer, *weights):
    parameters = np.array(weights, np.float64)
    optimizer.build(parameters)
    return optimizer, parameters


def test_lr_is_another_name_of_the_learning_rate():
    optimizer = optimizers.SGD(0.5)

    optimizer.lr = 0.25

    assert optimizer.learning_rate == optimizer.lr == 0.25


def test_a_rate_assigned_in_place_takes_effect_at_the_next_step():
    optimizer, weights = build_on(optimizers.SGD(1.0), 0.0)

    optimizer.learning_rate.assign(0.25)
    optimizer.apply(np.array([1.0]))

    assert weights == pytest.approx([-0.25])


def test_a_number_that_was_read_before_still_reads_the_current_value_on_demand():
    optimizer = optimizers.SGD(0.1, momentum=0.9)
    read = optimizer.momentum

    optimizer.momentum = 0.5

    assert read == 0.9
    assert read.value == read.numpy() == 0.5


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_copied_number_is_a_plain_number(duplicate):
    optimizer = optimizers.SGD(0.1, momentum=0.5)

    assert [type(duplicate(each)) for each in (optimizer.lr, optimizer.momentum, optimizer.iterations)] == [
        float,
        float,
        int,
    ]


def test_momentum_set_between_steps_takes_effect_at_the_next():
    optimizer, weights = build_on(optimizers.SGD(1.0, momentum=0.5), 0.0)
    optimizer.apply(np.array([1.0]))

    optimizer.momentum.assign(0.25)
    optimizer.apply(np.array([1.0]))

    # velocity: -1, then 0.25 * -1 - 1
    assert weights == pytest.approx([-1 - 1.25])


@pytest.mark.parametrize("name", ["SGD", "RMSprop"])
def test_momentum_can_be_turned_on_and_off(name):
    optimizer, _ = build_on(getattr(optimizers, name)(0.1), 0.0)
    always, _ = build_on(getattr(optimizers, name)(0.1, momentum=0.5), 0.0)

    optimizer.momentum = 0.5
    switched = optimizer.state_dict()
    optimizer.momentum = 0.0

    assert switched["slots"].keys() == always.state_dict()["slots"].keys()
    assert "velocity" not in optimizer.state_dict()["slots"]


def test_a_number_out_of_range_changes_nothing():
    optimizer = optimizers.Adam()

    with pytest.raises(ValueError, match=r"beta_1 must be a number in \[0, 1\), got 1.0"):
        optimizer.beta_1 = 1.0

    assert optimizer.beta_1 == 0.9


def test_configuration_holds_the_numbers_that_were_set():
    optimizer = optimizers.Adam()

    optimizer.beta_1 = 0.5

    assert optimizers.Adam(**optimizer.get_config()).beta_1 == 0.5


def test_number_of_steps_can_be_set():
    optimizer, _ = build_on(optimizers.SGD(ExponentialDecay(1.0, 1, 0.5)), 0.0)

    optimizer.iterations.assign(3)

    assert optimizer.iterations == optimizer.iterations.numpy() == optimizer.iterations.value == 3
    assert optimizer.learning_rate == 0.125


@pytest.mark.parametrize("steps", [-1, 1.5, 2**63])
def test_a_number_of_steps_that_is_none_is_refused(steps):
    optimizer = optimizers.SGD()

    with pytest.raises((TypeError, ValueError), match="iterations must be"):
        optimizer.iterations = steps


def test_decay_of_keras_2_is_zero_because_the_rate_is_decayed_already():
    optimizer, _ = build_on(optimizers.SGD(ExponentialDecay(1.0, 1, 0.5)), 0.0)
    optimizer.apply(np.array([1.0]))

    printed = optimizer.lr / (1.0 + optimizer.decay * optimizer.iterations)

    assert printed == 0.5


def test_variables_are_steps_rate_and_slots():
    optimizer, _ = build_on(optimizers.Adam(0.5), 1.0, 2.0)
    optimizer.apply(np.array([1.0, 1.0]))

    assert [each.shape for each in optimizer.variables] == [(), (), (2,), (2,)]
    assert [float(each) for each in optimizer.variables[:2]] == [1, 0.5]


@pytest.mark.parametrize(
    ("make", "name", "values"),
    [
        (lambda: optimizers.SGD(0.1, momentum=0.5), "momentum", (0.9, 0.0, 0.25)),
        (lambda: optimizers.SGD(0.1), "momentum", (0.9, 0.5, 0.25)),
        (lambda: optimizers.Adam(amsgrad=True), "beta_2", (0.9, 0.99, 0.5)),
        (lambda: optimizers.RMSprop(centered=True), "rho", (0.8, 0.99, 0.5)),
    ],
)
def test_an_optimizer_restored_after_a_number_was_set_continues_bit_for_bit(make, name, values):
    gradients = np.random.default_rng(0).normal(size=(6, 5))
    (first, weights), (second, resumed) = build_on(make(), *np.arange(5.0)), build_on(make(), *np.arange(5.0))
    for each, value in zip(gradients[:3], values, strict=True):
        setattr(first, name, value)
        first.apply(each.copy())

    second.load_state_dict(first.state_dict())
    resumed[:] = weights
    for each in gradients[3:]:
        first.apply(each.copy())
        second.apply(each.copy())

    assert np.array_equal(weights, resumed)
    assert getattr(second, name) == values[-1]


@pytest.mark.parametrize("numbers", [{"momentum": 0.5}, {"beta_1": 2.0}, {"beta_1": "0.5"}, [1.0]])
def test_saved_numbers_that_do_not_fit_change_nothing(numbers):
    optimizer, _ = build_on(optimizers.Adam(), 1.0)
    state = optimizer.state_dict()

    with pytest.raises(StateError, match="the saved hyperparameters"):
        optimizer.load_state_dict(state | {"hyperparameters": numbers})

    assert optimizer.get_config() == optimizers.Adam().get_config()


def test_a_state_without_numbers_keeps_those_of_the_optimizer():
    optimizer, _ = build_on(optimizers.Adam(beta_1=0.5), 1.0)
    state = optimizer.state_dict()
    del state["hyperparameters"]

    optimizer.load_state_dict(state)

    assert optimizer.beta_1 == 0.5
