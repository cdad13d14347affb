import math
import warnings

import pytest

from onstage import Callback, OnstageWarning, Run
from onstage.callbacks.monitor import Monitor, expected_log_names
from onstage.testing import FakeModel

LOSS_AND_ACCURACY = ("loss", "accuracy", "val_loss", "val_accuracy")


class Watches(Callback):
    adds_logs = ()

    def __init__(self, name, mode="auto"):
        self.monitor = Monitor(name, mode)

    def on_train_begin(self):
        self.monitor.resolve(self)


def begin(*callbacks, model=None, names=LOSS_AND_ACCURACY):
    with Run(model or FakeModel(), list(callbacks), epochs=0, metric_names=names) as run:
        list(run.epochs())


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("loss", "min"),
        ("val_loss", "min"),
        ("val_accuracy", "max"),
        ("mae", "min"),
        ("auc_1", "max"),
        ("head_accuracy", "max"),
        ("sparse_categorical_crossentropy", "min"),
        ("root_mean_squared_error", "min"),
        ("val_precision", "max"),
    ],
)
def test_auto_knows_the_direction_of_common_metrics(name, direction):
    assert Monitor(name).direction_for(model=None) == direction


def test_auto_asks_the_model_before_the_name():
    class Odd(FakeModel):
        def metric_directions(self):
            return {"loss": "min", "error": "max"}

    assert Monitor("val_error").direction_for(Odd()) == "max"


def test_a_mode_wins_over_model_and_name():
    assert Monitor("val_loss", "max").direction_for(FakeModel()) == "max"


@pytest.mark.parametrize("name", ["learning_rate", "something"])
def test_a_metric_of_unknown_direction_is_refused_when_training_begins(name):
    with pytest.raises(ValueError, match=f"mode must be 'min' or 'max' for monitor '{name}'"):
        begin(Watches(name), names=None)


def test_an_unknown_monitor_is_refused_with_the_closest_name():
    with pytest.raises(ValueError, match="got 'val_acuracy'; did you mean 'val_accuracy'"):
        begin(Watches("val_acuracy"))


def test_a_validation_metric_without_validation_is_refused_with_the_missing_argument():
    with pytest.raises(ValueError, match="need validation_data or validation_split"):
        begin(Watches("val_loss"), names=("loss",))


def test_a_metric_that_another_callback_declares_can_be_watched():
    class AddsRate(Callback):
        adds_logs = ("learning_rate",)

        def on_epoch_end(self, logs):
            logs["learning_rate"] = 1.0

    begin(Watches("learning_rate", "min"), AddsRate())


def test_any_name_is_accepted_if_a_callback_does_not_declare_what_it_adds():
    class AddsSomething:
        def on_epoch_end(self, logs):
            logs["anything"] = 1.0

    begin(Watches("anything", "min"), AddsSomething())


def test_a_callback_that_cannot_add_to_an_epoch_leaves_the_names_known():
    class OnlyBatches:
        def on_batch_end(self, logs): ...

    run = Run(FakeModel(), [OnlyBatches()], metric_names=("loss",))

    assert expected_log_names(run, None) == ("loss",)


def test_a_missing_metric_warns_once_with_the_names_in_the_logs():
    monitor = Monitor("val_loss")

    with pytest.warns(
        OnstageWarning, match="watches 'val_loss', which is not in the logs; there are 'loss', 'a'"
    ):
        assert monitor.read({"loss": 1.0, "a": 2.0}) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert monitor.read({"loss": 1.0}) is None


def test_a_metric_that_other_epochs_will_log_does_not_warn():
    watches = Watches("val_loss")
    begin(watches)

    assert watches.monitor.read({"loss": 1.0}) is None


def test_a_value_that_is_not_a_number_warns_and_is_ignored():
    with pytest.warns(OnstageWarning, match="is not a number but str"):
        assert Monitor("loss").read({"loss": "high"}) is None


@pytest.mark.parametrize(
    ("mode", "value", "best", "improved"),
    [
        ("min", 0.9, 1.0, True),
        ("min", 0.75, 1.0, False),  # better by exactly min_delta
        ("min", 0.7, 1.0, True),
        ("max", 1.25, 1.0, False),
        ("max", 1.3, 1.0, True),
        ("min", math.nan, None, False),
        ("min", math.nan, 1.0, False),
        ("min", 5.0, None, True),
        ("min", math.inf, None, True),
        ("max", -math.inf, None, True),
    ],
)
def test_an_improvement_is_strict_and_never_nan(mode, value, best, improved):
    min_delta = 0.0 if value == 0.9 else 0.25
    monitor = Monitor("loss", mode, min_delta)
    monitor.resolve(Callback())

    assert monitor.improved(value, best) is improved


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("loss", "up"), "mode must be one of 'auto', 'min', 'max', got 'up'"),
        (("",), "monitor must be the name of a metric, got ''"),
        ((3,), "monitor must be the name of a metric, got 3"),
        (("loss", "min", -0.1), "min_delta must be a number >= 0, got -0.1"),
        (("loss", "min", math.nan), "min_delta must be a number >= 0, got nan"),
    ],
)
def test_a_wrong_argument_is_refused_at_once(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Monitor(*arguments)
