"""A training resumed from a checkpoint of the Trainer continues its callbacks."""

import json
from pathlib import Path

import pytest

from onstage import Callback
from onstage.callbacks import EarlyStopping, ReduceLROnPlateau
from onstage.testing import Recorder


class CountsBatches(Callback):
    adds_logs = ("batches",)

    def on_train_begin(self):
        self.count = 0

    def on_train_batch_end(self):
        self.count += 1

    def on_epoch_end(self, logs):
        logs["batches"] = float(self.count)

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


def callbacks():
    return [CountsBatches(), EarlyStopping("val_loss", patience=9, restore_best_weights=True)]


@pytest.mark.parametrize(
    ("saving", "epochs"),
    [
        ({"save_strategy": "epoch"}, [1, 2, 3]),
        ({"save_strategy": "best", "metric_for_best_model": "loss"}, [1, 2, 3]),
        ({"save_strategy": "steps", "save_steps": 3}, [1, 2, 3]),  # after the last batch of the epoch
    ],
)
def test_the_callbacks_go_on_where_they_were(saving, epochs, trainings):
    whole = trainings.fit(callbacks(), epochs=4)[0].history.history
    trainings.fit(callbacks(), epochs=2, **saving)

    recorder = Recorder()
    resumed = callbacks()
    adapter, trainer = trainings.fit([*resumed, recorder], epochs=4, resume="out/checkpoint-3", **saving)

    assert [event.number for event in recorder.trace if event.stage == "on_epoch_begin"] == epochs
    assert trainer.state.global_step == 12
    history = adapter.history.history
    assert history["val_loss"] == pytest.approx(whole["val_loss"][4 - len(history["val_loss"]) :], rel=1e-6)
    # The epoch whose last step was saved has not ended: the Trainer takes it to be complete.
    assert len(history["val_loss"]) == (3 if saving["save_strategy"] == "steps" else 4)
    assert history["batches"][-1] == 12.0
    assert resumed[1].best_epoch == 3
    assert len(resumed[1].best_weights) == 2


def test_a_checkpoint_within_an_epoch_keeps_its_batches_and_means(trainings):
    whole = trainings.fit(callbacks(), epochs=2)[0].history.history
    trainings.fit(callbacks(), epochs=1, save_strategy="steps", save_steps=2)

    recorder = Recorder()
    adapter, _ = trainings.fit([*callbacks(), recorder], epochs=2, resume="out/checkpoint-2")

    begun = [event.number for event in recorder.trace if event.stage == "on_train_batch_begin"]
    assert begun == [2, 0, 1, 2]
    assert adapter.history.history["batches"] == [3.0, 6.0]
    assert adapter.history.history["loss"] == pytest.approx(whole["loss"], rel=1e-6)


def test_the_newest_checkpoint_is_found_by_the_trainer_itself(trainings):
    trainings.fit(callbacks(), epochs=2, save_strategy="epoch")

    adapter, _ = trainings.fit(callbacks(), epochs=3, resume=True)

    assert adapter.history.history["batches"] == [3.0, 6.0, 9.0]


def test_a_reduced_rate_is_kept_over_a_resume(trainings):
    def reducing():
        return [ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=9.0)]

    whole, _ = trainings.fit(reducing(), epochs=5)
    trainings.fit(reducing(), epochs=3, save_strategy="epoch")
    adapter, _ = trainings.fit(reducing(), epochs=5, resume="out/checkpoint-9")

    assert adapter.history.history["learning_rate"] == whole.history.history["learning_rate"]
    assert adapter.history.history["loss"] == pytest.approx(whole.history.history["loss"], rel=1e-6)


def test_a_checkpoint_of_a_training_without_the_adapter_is_continued(trainings):
    plain = trainings.new_trainer([], 2, save_strategy="epoch")
    plain.train()

    recorder = Recorder()
    adapter, _ = trainings.fit([recorder], epochs=3, save_strategy="epoch", resume="out/checkpoint-3")

    assert adapter.history.epoch == [1, 2]
    saved = json.loads(Path("out/checkpoint-9/trainer_state.json").read_text())
    assert "saved" in saved["stateful_callbacks"]["OnstageCallback"]["attributes"]
