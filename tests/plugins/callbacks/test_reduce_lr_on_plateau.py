import math

import pytest
from onstage_reduce_lr_on_plateau import ReduceLROnPlateau

from onstage.testing import FakeModel, check_callback, replay


def rates(callback, *losses, learning_rate=1.0):
    """The rate that each epoch ran with."""
    logs = [{"loss": loss} for loss in losses]
    return replay(callback, logs, model=FakeModel(learning_rate)).history.history["learning_rate"]


def reducer(**options):
    return ReduceLROnPlateau(**{"monitor": "loss", "factor": 0.5, "patience": 2, **options})


def test_behaves_as_every_callback_must():
    check_callback(ReduceLROnPlateau)


def test_reduces_after_patience_epochs_without_improvement():
    assert rates(reducer(), 3, 2, 2, 2, 2, 2) == [1, 1, 1, 1, 0.5, 0.5]


def test_an_improvement_resets_the_count():
    assert rates(reducer(), 3, 3, 2, 2, 1, 1, 1) == [1] * 7


@pytest.mark.parametrize(
    ("cooldown", "expected"),
    [
        (0, [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]),
        (1, [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]),
        (2, [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]),
        (3, [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]),
    ],
)
def test_each_epoch_of_cooldown_but_the_last_delays_the_next_reduction(cooldown, expected):
    assert rates(reducer(cooldown=cooldown), *[1] * 8) == expected


def test_an_improvement_during_cooldown_is_the_new_best():
    callback = reducer(cooldown=3)

    rates(callback, 5, 5, 5, 1, 4)

    assert callback.best == 1
    assert callback.cooldown_counter == 1


def test_never_goes_below_min_lr():
    assert rates(reducer(patience=1, min_lr=0.3), *[1] * 5) == [1, 1, 0.5, 0.3, 0.3]


def test_a_nan_is_never_the_best():
    callback = reducer()

    rates(callback, math.nan, 3, 2, 1)

    assert callback.best == 1


def test_an_improvement_must_exceed_min_delta():
    assert rates(reducer(min_delta=0.5), 3, 2.6, 2.5, 2.5) == [1, 1, 1, 0.5]


def test_an_optimizer_with_a_schedule_is_refused_before_the_first_step():
    with pytest.raises(TypeError, match="takes from a schedule; give the optimizer a number"):
        replay(reducer(), [{"loss": 1}], model=FakeModel(scheduled=True))


def test_a_model_without_a_learning_rate_is_refused_before_the_first_step():
    with pytest.raises(TypeError, match="ReduceLROnPlateau needs a model with learning_rate, got object"):
        replay(reducer(), [{"loss": 1}], model=object())


def test_a_loaded_state_continues_counting():
    first = reducer(cooldown=2)
    rates(first, 1, 1, 1, 1)
    second = reducer(cooldown=2)

    second.load_state_dict(first.state_dict())

    assert (second.best, second.wait, second.cooldown_counter) == (1, 0, 1)
    assert second.in_cooldown()


def test_prints_each_reduction(capsys):
    rates(reducer(verbose=1, patience=1), 1, 1)

    assert capsys.readouterr().out == "Epoch 2: ReduceLROnPlateau reducing learning rate to 0.5.\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor": 1.0}, r"factor must be a number in \(0, 1\), got 1.0"),
        ({"factor": -0.1}, r"factor must be a number in \(0, 1\), got -0.1"),
        ({"cooldown": -1}, "cooldown must be an integer >= 0"),
        ({"min_lr": -1}, "min_lr must be a number >= 0"),
        ({"patiense": 3}, "patiense"),
    ],
)
def test_an_invalid_argument_is_refused_at_once(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        ReduceLROnPlateau(**options)
