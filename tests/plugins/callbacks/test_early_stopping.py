import math

import numpy as np
import pytest
from onstage_early_stopping import EarlyStopping

from onstage.testing import FakeModel, check_callback, replay


def losses(*values):
    return [{"loss": value} for value in values]


def stopper(**options):
    return EarlyStopping(**{"monitor": "loss", **options})


@pytest.mark.parametrize(
    "options", [{}, {"restore_best_weights": True}, {"monitor": ["val_loss", "val_accuracy"], "patience": 2}]
)
def test_behaves_as_every_callback_must(options):
    check_callback(lambda: EarlyStopping(**options))


@pytest.mark.parametrize(("patience", "epochs_run"), [(0, 3), (1, 3), (2, 4), (3, 5)])
def test_stops_when_patience_is_exhausted(patience, epochs_run):
    # Best in epoch 1; epochs 2, 3, 4 are no better.
    result = replay(stopper(patience=patience), losses(2, 1, 1, 1.5, 1, 3))

    assert result.epochs_run == epochs_run
    assert result.stopped_by == "EarlyStopping"


def test_the_reason_names_the_metric_and_the_epochs():
    result = replay(stopper(patience=2), losses(1, 2, 2))

    assert result.stop_reason == "loss has not improved for 2 epochs"


def test_an_improvement_of_exactly_min_delta_does_not_count():
    callback = stopper(min_delta=0.5, patience=2)

    replay(callback, losses(2.0, 1.5, 1.25))

    assert callback.best == 1.25
    assert callback.best_epoch == 2


def test_restores_weights_of_best_epoch_when_it_stops():
    # FakeModel adds 1 to each weight a step: after epoch 1 they are 2.
    model = FakeModel()

    replay(stopper(patience=2, restore_best_weights=True), losses(3, 1, 2, 2, 2), model=model)

    assert model.get_weights()[1] == [2.0]


def test_restores_weights_of_best_epoch_after_the_last_epoch_too():
    model = FakeModel()

    result = replay(stopper(patience=9, restore_best_weights=True), losses(3, 1, 2), model=model)

    assert not result.stopped
    assert model.get_weights()[1] == [2.0]


def test_epochs_before_start_from_epoch_are_ignored():
    callback = stopper(patience=1, start_from_epoch=2, restore_best_weights=True)
    model = FakeModel()

    result = replay(callback, losses(0.1, 0.2, 3.0, 4.0), model=model)

    assert result.epochs_run == 4
    assert (callback.best, callback.best_epoch) == (3.0, 2)
    assert model.get_weights()[1] == [3.0]


def test_a_nan_is_never_the_best():
    callback = stopper(patience=3, restore_best_weights=True)
    model = FakeModel()

    result = replay(callback, losses(math.nan, 3, 2, 1), model=model)

    assert not result.stopped
    assert (callback.best, callback.best_epoch) == (1, 3)


def test_only_nans_stop_training_and_do_not_change_the_weights():
    model = FakeModel()

    result = replay(stopper(patience=2, restore_best_weights=True), losses(*[math.nan] * 5), model=model)

    assert result.epochs_run == 2
    assert model.get_weights()[1] == [2.0]


def test_epochs_without_the_metric_are_ignored():
    logs = [{"loss": 1, "val_loss": 1}, {"loss": 1}, {"loss": 1}, {"loss": 1, "val_loss": 2}]
    callback = EarlyStopping(patience=2)

    with pytest.warns(UserWarning, match="watches 'val_loss', which is not in the logs; there are 'loss'"):
        result = replay(callback, logs)

    assert not result.stopped
    assert callback.wait == 1


@pytest.mark.parametrize(
    ("values", "epochs_run"),
    [
        ((5, 4, 3, 2), 2),  # improving, but never better than 1: patience 2 is over
        ((5, 0.5, 2, 3), 4),  # better in time, then two epochs are no better
        ((5, 1, 1, 1), 2),  # reaching it is not bettering it
    ],
)
def test_a_run_that_does_not_improve_on_the_baseline_is_stopped(values, epochs_run):
    result = replay(stopper(baseline=1, patience=2), losses(*values))

    assert result.epochs_run == epochs_run


def test_the_reason_names_a_baseline_that_was_not_reached():
    result = replay(stopper(baseline=1, patience=2), losses(5, 4))

    assert result.stop_reason == "loss has not improved on the baseline 1.0 in 2 epochs"


def test_several_monitors_continue_while_any_improves():
    callback = EarlyStopping(["loss", "accuracy"], patience=2)
    logs = [{"loss": 1.0 + 0.1 * n, "accuracy": min(n, 3) / 10} for n in range(8)]

    result = replay(callback, logs)

    # accuracy improves up to epoch 3; epochs 4 and 5 bring nothing.
    assert result.epochs_run == 6
    assert callback.best == {"loss": 1.0, "accuracy": 0.3}
    assert result.stop_reason == "loss and accuracy have not improved for 2 epochs"


def test_the_first_of_several_monitors_decides_the_best_epoch():
    callback = EarlyStopping(["loss", "accuracy"], patience=9, restore_best_weights=True)
    model = FakeModel()

    replay(
        callback,
        [{"loss": loss, "accuracy": 1 - 1 / (n + 2)} for n, loss in enumerate((3, 1, 2))],
        model=model,
    )

    assert callback.best_epoch == 1
    assert model.get_weights()[1] == [2.0]


def test_each_monitor_may_have_its_own_mode():
    callback = EarlyStopping(["a", "b"], mode=["min", "max"], patience=9)

    replay(callback, [{"a": 1, "b": 1}, {"a": 2, "b": 2}])

    assert callback.best == {"a": 1, "b": 2}


def test_a_second_training_starts_afresh():
    callback = stopper(patience=2)
    replay(callback, losses(1, 2, 2))

    result = replay(callback, losses(5, 4, 3))

    assert not result.stopped
    assert (callback.best, callback.stopped_epoch) == (3, 0)


def test_a_loaded_state_continues_counting():
    first = stopper(patience=3, restore_best_weights=True)
    replay(first, losses(1, 2, 2))
    second = stopper(patience=3, restore_best_weights=True)

    second.load_state_dict(first.state_dict())

    assert (second.best, second.wait, second.best_epoch) == (1, 2, 0)
    np.testing.assert_array_equal(second.best_weights[0], first.best_weights[0])


def test_prints_when_it_stops_and_restores(capsys):
    replay(stopper(patience=1, restore_best_weights=True, verbose=1), losses(1, 2))

    assert capsys.readouterr().out == (
        "Epoch 2: early stopping\nRestoring model weights from the end of the best epoch: 1.\n"
    )


def test_verbose_may_be_true():
    assert EarlyStopping(verbose=True).verbose == 1


def test_a_model_without_weights_is_refused_before_the_first_step():
    with pytest.raises(TypeError, match="EarlyStopping needs a model with get_weights, got object without"):
        replay(stopper(restore_best_weights=True), losses(1), model=object())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": -1}, "patience must be an integer >= 0, got -1"),
        ({"patience": 2.0}, "patience must be an integer >= 0, got 2.0"),
        ({"start_from_epoch": None}, "start_from_epoch must be an integer >= 0, got None"),
        ({"restore_best_weights": 1}, "restore_best_weights must be True or False, got 1"),
        ({"baseline": "low"}, "baseline must be a number, got 'low'"),
        ({"monitor": []}, "monitor must name at least one metric"),
        ({"monitor": ["loss", "loss"]}, "monitor must name each metric once"),
        ({"monitor": ["a", "b"], "baseline": 1.0}, "baseline must be None with several monitors"),
        (
            {"monitor": ["a", "b"], "mode": ["min"]},
            "mode must be one word or one for each of the 2 monitors",
        ),
    ],
)
def test_an_invalid_argument_is_refused_at_once(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        EarlyStopping(**options)


def test_a_subclass_may_compute_the_value_that_is_watched():
    class Sum(EarlyStopping):
        def get_monitor_value(self, logs):
            return logs["loss"] + logs["val_loss"]

    stop = Sum(patience=1)
    result = replay(
        stop, [{"loss": 1.0, "val_loss": 3.0}, {"loss": 2.0, "val_loss": 1.0}, {"loss": 2.0, "val_loss": 1.5}]
    )

    assert (stop.best, stop.best_epoch) == (3.0, 1)
    assert result.epochs_run == 3
    assert result.stopped_by == "Sum"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"patience": 1}, "loss has not improved for 1 epoch"),
        ({"patience": 2}, "loss has not improved for 2 epochs"),
        ({"patience": 2, "baseline": 0.5}, "loss has not improved on the baseline 0.5 in 2 epochs"),
    ],
)
def test_the_reason_counts_in_plain_english(options, reason):
    assert replay(EarlyStopping("loss", **options), [{"loss": 1.0}] * 4).stop_reason == reason
