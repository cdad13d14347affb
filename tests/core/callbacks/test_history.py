"""The record of a run can be saved and continued."""

import math
import sys

import numpy as np
import pytest

from onstage import History, Run, StateError
from onstage.callbacks import EarlyStopping
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


def history_of(*losses, callbacks=(), **curves):
    with Run(FakeModel(), callbacks, epochs=len(losses)) as run:
        for epoch in run.epochs():
            run.log(loss=losses[epoch], **{name: values[epoch] for name, values in curves.items()})
    return run.history


def test_the_best_of_a_metric_is_by_its_direction():
    history = history_of(3.0, math.nan, 2.0, accuracy=[0.5, 0.75, 0.25], odd=[1.0, 2.0, 3.0])

    assert history.best("loss") == (2, 2.0)
    assert history.best("accuracy") == (1, 0.75)
    assert history.best("odd") is None
    assert history.best("absent") is None
    assert history.best_epoch == 2
    assert History().best_epoch is None


def test_early_stopping_decides_which_epoch_is_the_best_and_whether_it_was_restored():
    stop = EarlyStopping("odd", mode="max", patience=5, restore_best_weights=True)

    history = history_of(3.0, 2.0, 1.0, callbacks=[stop], odd=[1.0, 2.0, 0.0])

    assert (history.best_epoch, history.restored) == (1, True)
    assert history.best("odd") == (1, 2.0)
    assert history.best("loss") == (2, 1.0)
    assert not history_of(3.0, callbacks=[EarlyStopping("loss")]).restored


def test_a_callback_with_the_attributes_of_early_stopping_decides_too():
    class Stranger:
        monitor, best, best_epoch, best_weights, restore_best_weights = "loss", 2.0, 1, None, True

        def on_epoch_end(self): ...

    history = history_of(3.0, 2.0, 1.0, callbacks=[Stranger()])

    assert (history.best_epoch, history.restored) == (1, False)


def test_a_printed_history_is_a_table_of_last_and_best_values():
    history = history_of(3.0, 1.0, 2.0, callbacks=[EarlyStopping("loss", patience=1)], odd=[1.0, 2.0, 1e-5])

    assert str(history).splitlines() == [
        "History: 3 epochs; stopped by EarlyStopping: loss has not improved for 1 epoch; best epoch 2",
        "metric        last    best  in epoch",
        "loss        2.0000  1.0000         2",
        "odd     1.0000e-05",
    ]
    assert str(History()) == "History: 0 epochs"


def test_without_matplotlib_a_history_shows_its_table_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    html = history_of(3.0, 1.0)._repr_html_()

    assert html.startswith("<div>History: 2 epochs; best epoch 2</div>\n<table>")
