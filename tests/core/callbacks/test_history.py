"""The record of a run can be saved and continued."""

import math

import numpy as np
import pytest

from onstage import History, Run, StateError
from onstage.state import storage
from onstage.testing import FakeModel


@pytest.fixture
def record():
    """Return the record of three epochs: numbers, a NaN, text, and a metric of only one epoch."""
    history = History()
    history.on_epoch_end(0, {"loss": 0.1, "note": "first"})
    history.on_epoch_end(1, {"loss": math.nan, "note": "second", "val_loss": 0.3})
    history.on_epoch_end(5, {"loss": 1e-300, "note": 7})
    return history


def test_a_record_is_restored_from_a_file(record, tmp_path):
    storage.save(tmp_path / "record", record.state_dict())
    other = History()

    other.load_state_dict(storage.load(tmp_path / "record"))

    assert other.epoch == [0, 1, 5]
    assert other.epochs_of == {"loss": [0, 1, 5], "note": [0, 1, 5], "val_loss": [1]}
    assert other.history["note"] == ["first", "second", 7.0]
    assert other.history["val_loss"] == [0.3]
    assert other.history["loss"][::2] == [0.1, 1e-300]
    assert math.isnan(other.history["loss"][1])
    assert {type(value) for value in other.history["loss"]} == {float}
    assert {type(epoch) for epoch in other.epoch} == {int}


def test_a_state_is_a_copy(record):
    state = record.state_dict()

    record.on_epoch_end(6, {"loss": 2.0, "note": "later"})

    assert len(state["epoch"]) == len(state["history"]["loss"]) == len(state["history"]["note"]) == 3


def test_an_empty_record_is_restored_as_empty(record):
    record.load_state_dict(History().state_dict())

    assert (record.epoch, record.history, record.epochs_of) == ([], {}, {})


@pytest.mark.parametrize("values", [np.zeros((2, 2)), np.float64(1), "text", None])
def test_a_metric_that_is_not_a_list_is_refused_and_the_record_is_kept(record, values):
    state = record.state_dict()
    state["history"]["loss"] = values

    with pytest.raises(StateError, match="a saved record must have a list for each metric"):
        record.load_state_dict(state)
    assert record.epoch == [0, 1, 5]


def test_the_record_of_ten_thousand_epochs_is_saved_as_numbers_and_not_as_text(tmp_path):
    with Run(FakeModel(), epochs=10_000) as run:
        for _ in run.epochs():
            run.log(loss=1 / 3)

    storage.save(tmp_path / "record", run.history.state_dict())

    # 8 bytes each for the loss, its epoch and the epoch; as text a third alone has 18.
    assert (tmp_path / "record").stat().st_size < 10_000 * 3 * 8 + 2_000
