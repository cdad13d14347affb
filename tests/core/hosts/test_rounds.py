"""RoundCallback: what adapters for gradient boosting share."""

import numpy as np
import pytest

from onstage import Callback, ModelView, StateError
from onstage.callbacks import EarlyStopping
from onstage.hosts import (
    HostView,
    RoundCallback,
    rounds_view,
    split_datasets,
    state_from_text,
    state_to_text,
    suffix_checker,
)
from onstage.testing import Recorder


class Boosting(RoundCallback):
    host = "Boosting"


def train(callbacks, losses, **begin):
    """Run rounds with these validation losses; return the adapter and the rounds that are left."""
    trees = list(range(begin.get("first", 0)))
    view = rounds_view(lambda: len(trees), lambda rounds: trees.__delitem__(slice(rounds, None)))
    adapter, text = Boosting(callbacks), None
    with adapter:
        adapter.start_rounds(HostView(view, adapter.host, adapter.lacks), rounds=len(losses), **begin)
        for number, loss in enumerate(losses, begin.get("first", 0)):
            adapter.begin("epoch", number)
            trees.append(number)
            go_on = adapter.end_round({"train": {"logloss": loss / 2}, "valid": {"logloss": loss}})
            text = state_to_text(adapter.save_state())
            if not go_on:
                break
    return adapter, len(trees), text


def test_a_round_is_an_epoch_with_a_validation():
    recorder = Recorder()

    adapter, rounds, _ = train([recorder], [3.0, 2.0])

    epoch = ["on_epoch_begin", "on_test_begin", "on_test_end", "on_epoch_end"]
    assert recorder.stages == ["on_train_begin", *epoch * 2, "on_train_end", "on_teardown"]
    assert adapter.history.history["val_loss"] == [3.0, 2.0]
    assert adapter.history.history["logloss"] == [1.5, 1.0]
    assert rounds == 2


def test_the_rounds_after_the_best_are_dropped():
    stop = EarlyStopping(patience=2, restore_best_weights=True)

    _, rounds, _ = train([stop], [3.0, 1.0, 2.0, 2.0, 0.5])

    assert rounds == 2


def test_an_earlier_training_is_continued_by_its_text():
    _, _, text = train([EarlyStopping(patience=2)], [1.0, 2.0])

    stop = EarlyStopping(patience=2)
    adapter, _, _ = train([stop], [3.0, 0.5], first=2, state=text)

    assert adapter.history.epoch == [0, 1, 2]
    assert stop.best == 1.0


def test_a_text_of_other_rounds_is_left_out():
    _, _, text = train([EarlyStopping(patience=2)], [1.0, 2.0])

    stop = EarlyStopping(patience=2)
    adapter, _, _ = train([stop], [3.0, 0.5], first=1, state=text)

    assert adapter.history.epoch == [1, 2]
    assert stop.best == 0.5


def test_a_callback_that_acts_in_batches_is_refused():
    class InBatches(Callback):
        def on_train_batch_end(self, batch): ...

    with pytest.raises(
        TypeError, match=r"InBatches needs batches, which Boosting .*; a round has none: act in"
    ):
        train([InBatches()], [1.0])


def test_the_last_set_beside_the_training_is_the_validation():
    train_logs, validation = split_datasets(
        {
            "valid": {"AUC": 0.1, "ndcg@5": 0.2},
            "Training": {"error": 0.3},
            "test-set": {"AUC": 0.4, "binary_logloss": 0.5, "l2": 0.6},
        }
    )

    assert train_logs == {"error": 0.3, "loss": 0.3}
    assert validation == {
        "valid_AUC": 0.1,
        "valid_ndcg_5": 0.2,
        "AUC": 0.4,
        "binary_logloss": 0.5,
        "l2": 0.6,
        "loss": 0.5,
    }


@pytest.mark.parametrize("weights", [[np.array(0)], [np.array(4)], [np.array(1.0)], [np.ones(2)], []])
def test_weights_that_are_no_number_of_rounds_are_refused(weights):
    view = rounds_view(lambda: 3, lambda rounds: None)

    with pytest.raises(ValueError, match="weights must be a number of rounds from 1 to 3"):
        view.set_weights(weights)


def test_a_foreign_suffix_is_refused():
    check = suffix_checker("Boosting", (".json", ".ubj"))

    check("model.ubj")
    with pytest.raises(ValueError, match=r"must end in \.json or \.ubj for Boosting, got 'model\.txt'"):
        check("model.txt")


def test_a_state_survives_as_text():
    arrays = [np.array(3), np.zeros((0, 2), "float32"), np.array([True])]
    state = {"wait": 1, "best": float("inf"), "nested": [{"none": None, "weights": arrays}]}

    text = state_to_text(state)
    back = state_from_text(text)

    assert "\n" not in text
    assert back["best"] == float("inf")
    for one, other in zip(back["nested"][0]["weights"], arrays, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    assert state_to_text(None) is state_from_text(None) is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[1]",
        '{"a":{"$array":[1,[2]],"dtype":"int64"}}',
        '{"a":{"$array":1,"dtype":"no such"}}',
        "[" * 10**5,
    ],
)
def test_a_text_that_is_no_state_is_refused(text):
    with pytest.raises(StateError, match="the state of the callbacks"):
        state_from_text(text)


def test_a_view_without_rounds_offers_nothing():
    with pytest.raises(TypeError, match="EarlyStopping needs get_weights, which Boosting"):
        Boosting([EarlyStopping(restore_best_weights=True)]).start_rounds(
            HostView(ModelView(), "Boosting", Boosting.lacks)
        )
