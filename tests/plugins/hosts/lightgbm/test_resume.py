"""A continued training of LightGBM continues its callbacks, and one with new data begins anew."""

import numpy as np
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


def resume(given, trainings, *, init_model, epochs):
    from onstage_lightgbm import OnstageCallback

    return trainings.fit(OnstageCallback(given, init_model=init_model), epochs=epochs, init_model=init_model)


@pytest.mark.parametrize("from_file", [False, True])
def test_the_callbacks_go_on_where_they_were(from_file, trainings, folder):
    whole, full = trainings.fit(callbacks(), epochs=6)
    _, first = trainings.fit([*callbacks(), ModelCheckpoint("{epoch}.txt")], epochs=3)

    recorder = Recorder()
    resumed = [*callbacks(), ModelCheckpoint("{epoch}.txt")]
    earlier = folder / "3.txt" if from_file else first
    adapter, booster = resume([*resumed, recorder], trainings, epochs=3, init_model=earlier)

    begun = [event.number for event in recorder.trace if event.stage == "on_epoch_begin"]
    assert begun == [3, 4, 5]
    assert adapter.history.history["rounds"][-1] == 6.0
    losses = whole.history.history["val_loss"]
    np.testing.assert_allclose(adapter.history.history["val_loss"][-3:], losses[-3:], rtol=1e-6)
    assert resumed[1].best == pytest.approx(min(losses))
    assert booster.num_trees() == full.num_trees()
    np.testing.assert_allclose(booster.predict(trainings.X), full.predict(trainings.X), rtol=1e-6)


def test_after_dropped_rounds_the_callbacks_begin_anew(trainings):
    stop = EarlyStopping(patience=3, restore_best_weights=True)
    _, best = trainings.fit([stop], epochs=60)
    kept = best.current_iteration()

    recorder = Recorder()
    again = EarlyStopping(patience=3)
    resume([again, recorder], trainings, epochs=2, init_model=best)

    begun = [event.number for event in recorder.trace if event.stage == "on_epoch_begin"]
    assert begun == [kept, kept + 1]
    assert again.best_epoch == kept


def test_a_training_that_continues_no_other_begins_anew(trainings):
    from onstage_lightgbm import OnstageCallback

    adapter = OnstageCallback([CountsRounds()])
    trainings.fit(adapter, epochs=3)
    trainings.fit(adapter, epochs=2)

    assert adapter.history.history["rounds"] == [1.0, 2.0]


def test_a_state_that_was_damaged_is_refused(trainings):
    _, first = trainings.fit(callbacks(), epochs=2)
    first.onstage_callbacks = '{"epoch":'

    with pytest.raises(StateError, match="state of the callbacks in the model's file cannot be read"):
        resume(callbacks(), trainings, epochs=2, init_model=first)
