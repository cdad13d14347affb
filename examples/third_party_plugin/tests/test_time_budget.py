import onstage_time_budget
import pytest
from onstage_time_budget import TimeBudget

from onstage.testing import check_callback, replay


@pytest.fixture
def epochs_of(monkeypatch):
    """Return a function that sets the clock so that epochs take the given seconds."""

    def set_clock(*seconds):
        ticks, now = [], 100.0
        for took in seconds:
            ticks += [now, now + took]
            now += took + 1000  # time between epochs is not training
        monkeypatch.setattr(onstage_time_budget, "monotonic", iter(ticks).__next__)

    return set_clock


def test_stops_after_the_last_epoch_that_leaves_no_time_for_another(epochs_of):
    epochs_of(10, 10, 10, 10)

    result = replay(TimeBudget(seconds=35), [{"loss": 1.0}] * 4)

    assert result.epochs_run == 3
    assert result.stopped_by == "TimeBudget"
    assert result.stop_reason == "30 of 35 s spent, an epoch takes 10.0 s"


def test_expects_the_next_epoch_to_take_as_long_as_the_longest(epochs_of):
    epochs_of(10, 30, 5, 5)

    assert replay(TimeBudget(seconds=70), [{"loss": 1.0}] * 4).epochs_run == 3


def test_a_training_within_its_budget_is_not_stopped(epochs_of):
    epochs_of(10, 10)

    assert not replay(TimeBudget(seconds=30), [{"loss": 1.0}] * 2).stopped


def test_each_training_starts_from_zero(epochs_of):
    budget = TimeBudget(seconds=35)
    for _ in range(2):
        epochs_of(10, 10)
        replay(budget, [{"loss": 1.0}] * 2)

    assert budget.spent == 20


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_refuses_a_budget_that_is_not_positive(seconds):
    with pytest.raises(ValueError, match="seconds must be greater than 0, got"):
        TimeBudget(seconds)


def test_passes_the_conformance_checks():
    check_callback(lambda: TimeBudget(seconds=60))
