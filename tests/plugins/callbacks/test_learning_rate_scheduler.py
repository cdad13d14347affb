import functools

import numpy as np
import pytest
from onstage_learning_rate_scheduler import LearningRateScheduler

from onstage import Sequential, layers, optimizers, schedules
from onstage.testing import FakeModel, check_callback, replay


def rates(schedule, epochs=3, batches=1, **options):
    """The learning rate in the logs of each epoch."""
    result = replay(
        LearningRateScheduler(schedule, **options),
        [{"loss": 1.0}] * epochs,
        model=FakeModel(1.0),
        batches=batches,
    )
    return result.history.history["learning_rate"]


def halve(epoch, rate):
    return rate / 2


def test_behaves_as_every_callback_must():
    check_callback(lambda: LearningRateScheduler(halve))
    check_callback(lambda: LearningRateScheduler(halve, on="batch"))


def test_accepts_a_function_of_epoch_and_rate():
    assert rates(halve) == [0.5, 0.25, 0.125]


def test_accepts_a_function_of_the_epoch():
    assert rates(lambda epoch: 10.0**-epoch) == [1.0, 0.1, 0.01]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (functools.partial(lambda factor, epoch: factor * epoch, 2.0), [0, 2, 4]),
        (type("Steps", (), {"__call__": lambda self, epoch: epoch})(), [0, 1, 2]),
        (lambda epoch, rate=None: 0.0 if rate is None else 1.0, [1, 1, 1]),
    ],
)
def test_accepts_any_callable(schedule, expected):
    assert rates(schedule) == expected


@pytest.mark.parametrize("rate", [1, 0.5, np.float32(0.5), np.float64(0.25), np.int64(2), np.array(0.5), 0])
def test_accepts_any_kind_of_number(rate):
    assert rates(lambda epoch: rate, epochs=1) == [float(rate)]


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        (None, "schedule must return a number, got None"),
        ("0.1", "schedule must return a number, got '0.1'"),
        (True, "schedule must return a number, got True"),
        (np.ones(2), "schedule must return a number, got array"),
        (float("nan"), "schedule must return a finite number >= 0, got nan"),
        (-0.1, "schedule must return a finite number >= 0, got -0.1"),
    ],
)
def test_any_other_result_is_an_error(rate, message):
    with pytest.raises((TypeError, ValueError), match=message):
        rates(lambda epoch: rate)


def test_an_error_of_the_function_is_not_caught():
    def broken(epoch, rate):
        return rate + "one"

    with pytest.raises(TypeError, match="unsupported operand"):
        rates(broken)


def test_batches_count_across_epochs():
    seen = []

    def schedule(step, rate):
        seen.append((step, rate))
        return rate / 2

    assert rates(schedule, epochs=2, batches=2, on="batch") == [0.25, 0.0625]
    assert seen == [(0, 1.0), (1, 0.5), (2, 0.25), (3, 0.125)]


def test_a_second_training_counts_from_zero():
    seen = []
    callback = LearningRateScheduler(lambda step: seen.append(step) or 0.1, on="batch")

    for _ in range(2):
        replay(callback, [{"loss": 1.0}], batches=2)

    assert seen == [0, 1, 0, 1]


def test_a_loaded_state_continues_counting():
    first = LearningRateScheduler(halve, on="batch")
    replay(first, [{"loss": 1.0}], batches=3)
    second = LearningRateScheduler(halve, on="batch")

    second.load_state_dict(first.state_dict())

    assert second.state_dict() == {"batches": 3}


def test_a_schedule_in_the_optimizer_is_refused_before_the_first_step():
    model = Sequential([layers.Input((1,)), layers.Dense(1)])
    model.compile(optimizers.SGD(schedules.ExponentialDecay(0.1, 10, 0.5)), "mse")
    before = model.get_weights()

    with pytest.raises(
        TypeError, match="LearningRateScheduler sets the learning rate, which this optimizer takes"
    ):
        model.fit([[1.0]], [[1.0]], verbose=0, callbacks=LearningRateScheduler(halve))

    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_prints_each_rate(capsys):
    rates(halve, epochs=1, verbose=1)

    assert capsys.readouterr().out == "Epoch 1: LearningRateScheduler setting learning rate to 0.5.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.1,), r"schedule must be a function of \(epoch, learning_rate\) or \(epoch\), got 0.1"),
        (
            (lambda: 0.1,),
            r"schedule must take \(epoch, learning_rate\) or \(epoch\), got one that takes \(\)",
        ),
        ((lambda a, b, c: 0.1,), r"got one that takes \(a, b, c\)"),
        ((halve, -1), "verbose must be an integer >= 0"),
        ((halve, 0, "step"), "on must be one of 'epoch', 'batch', got 'step'"),
    ],
)
def test_an_invalid_argument_is_refused_at_once(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        LearningRateScheduler(*arguments)
