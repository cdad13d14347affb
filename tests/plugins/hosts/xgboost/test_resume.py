"""A continued training of XGBoost continues its callbacks, and one with new data begins anew."""

import pytest

from onstage import Callback, StateError
from onstage.callbacks import EarlyStopping, ModelCheckpoint
from onstage.testing import Recorder


class CountsRounds(Callback):
    adds_logs = ("rounds",)

    def on_train_begin(self):
        self.count = 0

    def on_epoch_end(self, logs):
        self.count += 1
        logs["rounds"] = float(self.count)

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


def callbacks():
    return [CountsRounds(), EarlyStopping(patience=9, restore_best_weights=True)]


@pytest.mark.parametrize("from_file", [False, True])
def test_the_callbacks_go_on_where_they_were(from_file, trainings, folder):
    whole, full = trainings.fit(callbacks(), epochs=6)
    _, first = trainings.fit([*callbacks(), ModelCheckpoint("{epoch}.ubj")], epochs=3)

    recorder = Recorder()
    resumed = [*callbacks(), ModelCheckpoint("{epoch}.ubj")]
    earlier = folder / "3.ubj" if from_file else first
    adapter, booster = trainings.fit([*resumed, recorder], epochs=3, xgb_model=earlier)

    begun = [event.number for event in recorder.trace if event.stage == "on_epoch_begin"]
    assert begun == [3, 4, 5]
    assert adapter.history.history["rounds"][-1] == 6.0
    assert adapter.history.history["val_logloss"][-3:] == whole.history.history["val_logloss"][-3:]
    assert resumed[1].best == min(whole.history.history["val_loss"])
    assert booster.get_dump() == full.get_dump()


def test_after_dropped_rounds_the_callbacks_begin_anew(trainings):
    stop = EarlyStopping(patience=3, restore_best_weights=True)
    _, best = trainings.fit([stop], epochs=60)
    kept = best.num_boosted_rounds()

    recorder = Recorder()
    again = EarlyStopping(patience=3)
    trainings.fit([again, recorder], epochs=2, xgb_model=best)

    begun = [event.number for event in recorder.trace if event.stage == "on_epoch_begin"]
    assert begun == [kept, kept + 1]
    assert again.best_epoch == kept


def test_a_training_that_continues_no_other_begins_anew(trainings):
    from onstage_xgboost import OnstageCallback

    adapter = OnstageCallback([CountsRounds()])
    trainings.fit(adapter, epochs=3)
    trainings.fit(adapter, epochs=2)

    assert adapter.history.history["rounds"] == [1.0, 2.0]


def test_a_state_that_was_damaged_is_refused(trainings):
    _, first = trainings.fit(callbacks(), epochs=2)
    first.set_attr(onstage='{"epoch":')

    with pytest.raises(StateError, match="state of the callbacks in the model's file cannot be read"):
        trainings.fit(callbacks(), epochs=2, xgb_model=first)
