"""A training resumed from a checkpoint of Lightning continues its callbacks."""

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


def callbacks():
    return [CountsBatches(), EarlyStopping("val_loss", patience=9, restore_best_weights=True)]


@pytest.mark.parametrize(
    ("saved_at", "epochs"),
    [
        ({"save_on_train_epoch_end": True}, [1, 2, 3]),
        ({"save_on_train_epoch_end": False, "monitor": "val_loss"}, [0, 1, 2, 3]),  # after the validation
        ({"every_n_train_steps": 3}, [1, 2, 3]),  # after the last batch of the epoch
    ],
)
def test_the_callbacks_go_on_where_they_were(saved_at, epochs, trainings, tmp_path):
    import lightning.pytorch as pl

    whole = trainings.fit(callbacks(), epochs=4)[0].history.history
    checkpoint = pl.callbacks.ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, **saved_at)
    trainings.fit(callbacks(), epochs=2, beside=[checkpoint], enable_checkpointing=True)

    recorder = Recorder()
    resumed = callbacks()
    adapter, _, _ = trainings.fit([*resumed, recorder], epochs=4, ckpt_path=tmp_path / "step=3.ckpt")

    assert [event.number for event in recorder.trace if event.stage == "on_epoch_begin"] == epochs
    history = adapter.history.history
    # Lightning does not validate again the epoch whose last batch was saved.
    assert history["val_loss"] == whole["val_loss"][4 - len(history["val_loss"]) :]
    assert len(history["val_loss"]) == (4 if "every_n_train_steps" not in saved_at else 3)
    assert history["batches"][-1] == 12.0
    assert resumed[1].best_epoch == 3
    assert len(resumed[1].best_weights) == 2


def test_a_checkpoint_within_an_epoch_keeps_its_batches_and_means(trainings, tmp_path):
    import lightning.pytorch as pl

    checkpoint = pl.callbacks.ModelCheckpoint(
        tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=2
    )
    first = Recorder()
    trainings.fit([first, *callbacks()], epochs=1, beside=[checkpoint], enable_checkpointing=True)

    recorder = Recorder()
    adapter, _, _ = trainings.fit([*callbacks(), recorder], epochs=1, ckpt_path=tmp_path / "step=2.ckpt")

    begun = [event.number for event in recorder.trace if event.stage == "on_train_batch_begin"]
    assert begun == [2]
    assert adapter.history.history["batches"] == [3.0]
    # The mean of the first two batches counts: Lightning then feeds the first batch again.
    two = first.logs[[event[:2] for event in first.trace].index(("on_train_batch_end", 1))]["loss"]
    own = recorder.logs[[event[:2] for event in recorder.trace].index(("on_train_batch_end", 2))]["loss"]
    assert min(two, own) > 0
    assert own != two


def test_a_checkpoint_is_read_without_trusting_it(trainings, tmp_path):
    import lightning.pytorch as pl
    import torch

    checkpoint = pl.callbacks.ModelCheckpoint(tmp_path, filename="{epoch}")
    trainings.fit(callbacks(), epochs=1, beside=[checkpoint], enable_checkpointing=True)

    loaded = torch.load(tmp_path / "epoch=0.ckpt", weights_only=True)
    assert loaded["callbacks"]["OnstageCallback"]["epoch"] == 1


def test_a_checkpoint_of_an_exception_inside_a_batch_is_written(trainings, tmp_path):
    import lightning.pytorch as pl

    save = pl.callbacks.OnExceptionCheckpoint(tmp_path)
    module = trainings.new_module(pl, error=ValueError("in the step"))

    with pytest.raises(ValueError, match="in the step"):
        trainings.fit(callbacks(), module=module, beside=[save], enable_checkpointing=True)
    assert (tmp_path / "on_exception.ckpt").exists()
