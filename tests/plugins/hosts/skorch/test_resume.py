"""A training resumed from a checkpoint of skorch continues its callbacks."""

import pytest

from onstage import Callback
from onstage.callbacks import EarlyStopping
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


def train(trainings, folder, *, epochs, before=False, more=()):
    from onstage_skorch import OnstageCallback
    from skorch.callbacks import Checkpoint, LoadInitState

    own = [CountsBatches(), EarlyStopping("val_loss", patience=9, restore_best_weights=True), *more]
    save = Checkpoint(dirname=folder, monitor=None, f_onstage="onstage.pt")
    adapter = OnstageCallback(own)
    parts = [("save", save), ("onstage", adapter)] if before else [("onstage", adapter), ("save", save)]
    net = trainings.new_net([*parts, ("load", LoadInitState(save))], epochs=epochs, optimizer__momentum=0.9)
    with adapter:
        net.fit(trainings.X, trainings.Y)
    return adapter, own


@pytest.mark.parametrize(
    ("before", "epochs"), [(False, [2, 3]), (True, [1, 2, 3])], ids=["saved behind", "saved before"]
)
def test_the_callbacks_go_on_where_they_were(before, epochs, trainings, tmp_path):
    whole = train(trainings, tmp_path / "whole", epochs=4)[0].history.history
    train(trainings, tmp_path / "parts", epochs=2, before=before)

    recorder = Recorder()
    adapter, own = train(trainings, tmp_path / "parts", epochs=2, before=before, more=[recorder])

    assert [event.number for event in recorder.trace if event.stage == "on_epoch_begin"] == epochs
    history = adapter.history.history
    assert history["batches"] == whole["batches"] == [3.0, 6.0, 9.0, 12.0]
    assert history["val_loss"] == pytest.approx(whole["val_loss"])
    assert own[1].best_epoch == 3
    assert len(own[1].best_weights) == 2
