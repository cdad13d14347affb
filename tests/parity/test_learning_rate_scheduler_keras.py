"""LearningRateScheduler sets the same rates as Keras's."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

from onstage_learning_rate_scheduler import LearningRateScheduler  # noqa: E402  # after the backend

EXAMPLES = int(os.environ.get("ONSTAGE_PARITY_EXAMPLES", "300"))

SCHEDULES = {
    "of the epoch": lambda table: lambda epoch: table[epoch],
    "of both": lambda table: lambda epoch, rate: table[epoch] + rate / 2,
    "of anything": lambda table: lambda *arguments: table[arguments[0]] + len(arguments),
    "with a default": lambda table: lambda epoch, rate=None: table[epoch] + (0.0 if rate is None else rate),
}


class Rate:
    """A model for both: onstage reads its learning rate, Keras that of its optimizer."""

    def __init__(self):
        self.learning_rate = 1.0

    @property
    def optimizer(self):
        return self


def start_training(callback):
    callback.set_model(Rate())
    callback.on_train_begin()
    return callback


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.floats(0, 10), max_size=8), st.sampled_from(sorted(SCHEDULES)))
def test_sets_the_same_rates_in_the_same_epochs(table, kind):
    ours = start_training(LearningRateScheduler(SCHEDULES[kind](table)))
    theirs = start_training(keras.callbacks.LearningRateScheduler(SCHEDULES[kind](table)))

    for epoch in range(len(table)):
        our_logs, their_logs = {"loss": 1.0}, {"loss": 1.0}
        for callback, logs in ((ours, our_logs), (theirs, their_logs)):
            callback.on_epoch_begin(epoch)
            callback.on_epoch_end(epoch=epoch, logs=logs)

        assert ours.model.learning_rate == theirs.model.learning_rate
        assert our_logs == their_logs


def test_deliberate_difference_errors_of_a_schedule_are_raised_unchanged_and_integers_are_numbers():
    def broken(epoch, rate):
        return rate + "one"

    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        start_training(keras.callbacks.LearningRateScheduler(broken)).on_epoch_begin(0)
    with pytest.raises(TypeError, match="unsupported operand"):
        start_training(LearningRateScheduler(broken)).on_epoch_begin(0)

    with pytest.raises(ValueError, match="should be a float"):
        start_training(keras.callbacks.LearningRateScheduler(lambda epoch: 1)).on_epoch_begin(0)
    start_training(LearningRateScheduler(lambda epoch: 1)).on_epoch_begin(0)
