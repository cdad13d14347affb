"""Subclasses of ModelCheckpoint override when, where and how to save, as those of Keras's do."""

import numpy as np
import pytest
from onstage_model_checkpoint import ModelCheckpoint

from onstage.testing import FakeModel, replay

LOSSES = [{"loss": 3.0}, {"loss": 1.0}, {"loss": 2.0}]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("prefix", ["", "_"])
def test_the_path_may_be_overridden(tmp_path, prefix):
    def get_file_path(self, epoch, batch, logs):
        usual = getattr(super(Renames, self), f"{prefix}get_file_path")(epoch, batch, logs)
        return usual.replace(".safetensors", f"-{logs['loss']:.0f}.safetensors")

    Renames = type("Renames", (ModelCheckpoint,), {f"{prefix}get_file_path": get_file_path})

    replay(Renames(tmp_path / "{epoch}", "loss", max_to_keep=1), LOSSES)

    assert names(tmp_path) == ["2-1.safetensors", "3-2.safetensors", "best", "latest"]
    assert (tmp_path / "best").read_text() == "2-1.safetensors\n"


@pytest.mark.parametrize("prefix", ["", "_"])
def test_the_time_may_be_overridden(tmp_path, prefix):
    asked = []

    def should_save_model(self, epoch, batch, logs, filepath):
        asked.append((epoch, batch, logs["loss"], filepath))
        return epoch != 1

    Chooses = type("Chooses", (ModelCheckpoint,), {f"{prefix}should_save_model": should_save_model})

    callback = Chooses(str(tmp_path / "{epoch}.keras"), "loss", save_best_only=True)
    replay(callback, LOSSES)

    paths = [str(tmp_path / f"{n}.keras") for n in (1, 2, 3)]
    assert asked == [(0, None, 3.0, paths[0]), (1, None, 1.0, paths[1]), (2, None, 2.0, paths[2])]
    assert names(tmp_path) == ["1.keras", "3.keras", "best", "latest"]
    assert callback.best == 2.0


@pytest.mark.parametrize("prefix", ["", "_"])
def test_the_way_to_save_may_be_overridden(tmp_path, prefix):
    uploaded = []

    def save_model(self, epoch, batch, logs):
        getattr(super(Uploads, self), f"{prefix}save_model")(epoch, batch, logs)
        uploaded.append((epoch, batch, self._get_file_path(epoch, batch, logs)))

    Uploads = type("Uploads", (ModelCheckpoint,), {f"{prefix}save_model": save_model})

    replay(Uploads(tmp_path / "{epoch}-{batch}", "loss", save_freq=2), LOSSES[:2], batches=3)

    first, second, third = (str(tmp_path / f"{name}.safetensors") for name in ("1-2", "2-1", "2-3"))
    assert uploaded == [(0, 1, first), (1, 0, second), (1, 2, third)]
    assert names(tmp_path) == ["1-2.safetensors", "2-1.safetensors", "2-3.safetensors", "best", "latest"]


def test_a_subclass_may_act_in_a_stage_that_an_option_leaves_out(tmp_path):
    class Counts(ModelCheckpoint):
        batches = 0

        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs=logs)
            self.batches += 1

    callback = Counts(tmp_path / "{epoch}")
    replay(callback, LOSSES[:1], batches=3)

    assert callback.batches == 3
    assert names(tmp_path) == ["1.safetensors", "latest"]


def test_a_subclass_may_decide_by_monitor_op_and_best_alone(tmp_path):
    class Decides(ModelCheckpoint):
        def on_epoch_end(self, epoch, logs=None):
            current = (logs or {}).get(self.monitor)
            if self.best is None or self.monitor_op(current, self.best):
                self.best = current
                self.model.save(self.filepath.format(epoch=epoch + 1, **logs), overwrite=True)

    callback = Decides(str(tmp_path / "{epoch}.keras"), monitor="accuracy")
    result = replay(callback, [{"accuracy": value} for value in (0.5, 0.4, 0.6)], model=FakeModel())

    assert callback.monitor_op is np.greater
    assert callback.best == 0.6
    assert [path.name for path in result.model.saved] == ["1.keras", "3.keras"]


def test_the_path_may_be_set_after_construction_and_during_the_training(tmp_path):
    class Moves(ModelCheckpoint):
        def on_train_begin(self, logs=None):
            self.filepath = tmp_path / "a" / "{epoch}"
            super().on_train_begin(logs)

        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            self.filepath = str(tmp_path / "b" / "{epoch}-{loss:.0f}.keras")

    callback = Moves("unknown", "loss", max_to_keep=1)
    replay(callback, LOSSES[:2])

    assert callback.filepath == str(tmp_path / "b" / "{epoch}-{loss:.0f}.keras")
    assert names(tmp_path / "a") == ["1.safetensors", "best", "latest"]
    assert names(tmp_path / "b") == ["2-1.keras", "best", "latest"]
    with pytest.raises(ValueError, match="braces in pairs"):
        callback.filepath = "{epoch"
