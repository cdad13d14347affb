from datetime import UTC, datetime, timedelta

import onstage_time_limit
import pytest

from onstage.callbacks import TimeLimit
from onstage.testing import check_callback, replay

NOW = datetime(2030, 1, 31, 8, 0)


class Clock:
    """A clock that a callback in the list moves."""

    def __init__(self, monkeypatch, seconds):
        self.now, self.seconds = 1000.0, iter(seconds)
        monkeypatch.setattr(onstage_time_limit, "monotonic", lambda: self.now)

    def on_epoch_begin(self):
        self.now += 0.0

    def on_train_batch_end(self):
        self.now += next(self.seconds)


def epochs(callback, monkeypatch, seconds, **options):
    clock = Clock(monkeypatch, seconds)
    return replay([callback, clock], [{"loss": 1.0}] * len(seconds), **options)


@pytest.mark.parametrize(
    ("seconds", "durations", "ran"),
    [
        (30.0, [10, 10, 10, 10], 3),  # 30 s are spent after the third, the next would end at 40
        (29.9, [10, 10, 10, 10], 2),
        (100.0, [10, 60, 10, 10], 2),  # the longest decides: 70 + 60 > 100
        (165.0, [60, 10, 10, 10, 10, 10, 10, 10, 10], 9),  # after five epochs the first is forgotten
        (1.0, [10, 10], 1),
    ],
)
def test_stops_before_an_epoch_that_would_exceed_the_time(monkeypatch, seconds, durations, ran):
    result = epochs(TimeLimit(seconds), monkeypatch, durations)

    assert result.epochs_run == ran
    assert result.stopped is (ran < len(durations) or seconds == 30.0)


def test_the_reason_has_the_numbers(monkeypatch):
    result = epochs(TimeLimit(25, margin=1), monkeypatch, [10, 10, 10])

    assert result.stop_reason == "5.00 s left, and an epoch takes 10.00 s with a margin of 1.00 s"
    assert result.stopped_by == "TimeLimit"


def test_a_deadline_counts_from_the_present_time(monkeypatch):
    until = datetime.now() + timedelta(seconds=25)

    assert epochs(TimeLimit(until=until), monkeypatch, [10, 10, 10]).epochs_run == 2
    assert epochs(TimeLimit(until=until.astimezone(UTC)), monkeypatch, [10, 10, 10]).epochs_run == 2
    assert epochs(TimeLimit(1000, until=until.isoformat()), monkeypatch, [10, 10, 10]).epochs_run == 2


@pytest.mark.parametrize(
    ("until", "seconds"),
    [
        ("08:30", 1800),
        ("08:00:10", 10),
        ("07:00", 23 * 3600),
        ("08:00", 24 * 3600),
        ("2030-02-01T08:00", 24 * 3600),
        (NOW + timedelta(hours=1), 3600),
    ],
)
def test_texts_of_a_deadline(until, seconds):
    assert TimeLimit._end_of(until, NOW) == seconds


def test_eta_is_the_mean_duration_times_the_epochs_that_are_left(monkeypatch):
    result = epochs(TimeLimit(1000, log_eta=True), monkeypatch, [10, 20, 30])

    assert result.history.history["eta"] == [20.0, 15.0, 0.0]
    assert "eta" not in epochs(TimeLimit(1000), monkeypatch, [10, 20]).history.history


def test_a_resumed_training_includes_the_time_before(monkeypatch):
    first = TimeLimit(45)
    epochs(first, monkeypatch, [10, 10])
    second = TimeLimit(45)

    class Resumes:
        def on_epoch_begin(self, epoch):
            if epoch == 2:
                second.load_state_dict(first.state_dict())

    clock = Clock(monkeypatch, [10] * 5)
    result = replay([Resumes(), second, clock], [{"loss": 1.0}] * 7, initial_epoch=2)

    assert result.epochs_run == 2
    assert second.spent == 40.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "seconds or until must be given"),
        ({"seconds": 0}, "seconds must be"),
        ({"seconds": "10"}, "seconds must be"),
        ({"seconds": float("inf")}, "seconds must be"),
        ({"until": "tomorrow"}, "until must be an ISO 8601 date .* got 'tomorrow'"),
        ({"until": 5}, "until must be a datetime or a string, got 5"),
        ({"seconds": 1, "margin": -1}, "margin must be"),
        ({"seconds": 1, "log_eta": 1}, "log_eta must be"),
    ],
)
def test_invalid_arguments_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        TimeLimit(**options)


def test_behaves_as_every_callback_must():
    check_callback(lambda: TimeLimit(1000))
