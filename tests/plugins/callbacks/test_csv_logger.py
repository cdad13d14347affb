import csv
import errno
import math
import os

import numpy as np
import onstage_csv_logger
import pytest
from onstage_csv_logger import CSVLogger

from onstage import Callback, OnstageWarning, Run, StateError
from onstage.testing import check_callback, replay


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.csv"


def table(path, separator=","):
    with open(path, newline="") as file:
        return list(csv.reader(file, delimiter=separator))


def log(path, *logs, initial_epoch=0, **options):
    replay(CSVLogger(path, **options), logs, initial_epoch=initial_epoch)
    return table(path)


def test_behaves_as_every_callback_must(path):
    check_callback(lambda: CSVLogger(path))


def test_writes_a_row_for_each_epoch_with_the_metrics_in_order(path):
    log(path, {"loss": 1.5, "acc": 0.5}, {"loss": 1.25, "acc": 0.75})

    assert path.read_text() == "epoch,acc,loss\n0,0.5,1.5\n1,0.75,1.25\n"


def test_creates_the_directory(tmp_path):
    assert log(tmp_path / "a" / "b" / "log.csv", {"loss": 1.0}) == [["epoch", "loss"], ["0", "1.0"]]


def test_numbers_are_read_back_exactly(path):
    values = [1 / 3, 1e-300, 123456789.123456789, float(np.float32(0.1))]

    rows = log(path, *[{"loss": value} for value in values])

    assert [float(row[1]) for row in rows[1:]] == values


def test_nan_and_infinities_are_written_as_words(path):
    rows = log(path, {"loss": math.nan}, {"loss": math.inf}, {"loss": -math.inf})

    assert [row[1] for row in rows] == ["loss", "nan", "inf", "-inf"]


def test_an_array_is_a_list_in_one_cell(path):
    rows = log(path, {"each": np.array([1.5, 2.5]), "one": np.array(3.0), "count": np.int64(4)})

    assert rows[1] == ["0", "4", "[1.5, 2.5]", "3.0"]


def test_a_cell_longer_than_the_csv_modules_limit_is_read_back(path):
    before = csv.field_size_limit()
    text = "x" * (before + 1)
    replay(CSVLogger(path), [{"loss": 1.0, "note": text}])

    replay(CSVLogger(path, append=True), [{"loss": 2.0, "note": "short"}], initial_epoch=1)

    lines = path.read_text().splitlines()
    assert lines == ["epoch,loss,note", f"0,1.0,{text}", "1,2.0,short"]
    assert csv.field_size_limit() == before


def test_no_column_is_invented_without_validation(path):
    assert log(path, {"loss": 1.0})[0] == ["epoch", "loss"]


def test_a_column_that_appears_later_is_added_to_all_rows(path):
    rows = log(path, {"loss": 3.0}, {"loss": 2.0, "val_loss": 2.5}, {"loss": 1.0})

    assert rows == [
        ["epoch", "loss", "val_loss"],
        ["0", "3.0", "NA"],
        ["1", "2.0", "2.5"],
        ["2", "1.0", "NA"],
    ]


def test_a_row_is_in_the_file_when_its_epoch_ends(path):
    class Reads:
        def on_epoch_end(self, epoch):
            assert len(table(path)) == epoch + 2

    replay([CSVLogger(path), Reads()], [{"loss": 1.0}, {"loss": 2.0}])


def test_the_file_is_not_open_between_epochs(path):
    class Looks:
        def on_epoch_end(self):
            held = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
            assert str(path) not in held

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    replay([CSVLogger(path), Looks()], [{"loss": 1.0}])


def test_a_second_training_starts_a_new_file(path):
    log(path, {"loss": 1.0})

    assert log(path, {"loss": 2.0}) == [["epoch", "loss"], ["0", "2.0"]]


def test_append_adds_rows_to_the_file(path):
    log(path, {"loss": 1.0})

    rows = log(path, {"loss": 2.0}, append=True, initial_epoch=1)

    assert rows == [["epoch", "loss"], ["0", "1.0"], ["1", "2.0"]]


def test_append_with_other_metrics_merges_the_columns(path):
    log(path, {"loss": 1.0, "mae": 3.0})

    rows = log(path, {"acc": 0.5, "loss": 2.0}, append=True)

    assert rows == [["epoch", "loss", "mae", "acc"], ["0", "1.0", "3.0", "NA"], ["0", "2.0", "NA", "0.5"]]


@pytest.mark.parametrize("content", ["name,age\nx,3\n", "epoch,loss\n0,1.0,2.0\n", "epoch;loss\n0;1.0\n"])
def test_append_to_another_kind_of_file_is_refused_and_does_not_change_it(path, content):
    path.write_text(content)

    with pytest.raises(ValueError, match="filename must be a CSV file to append to"):
        log(path, {"loss": 1.0}, append=True)

    assert path.read_text() == content


def test_append_removes_an_incomplete_row_with_a_warning(path):
    path.write_text("epoch,loss\n0,1.0\n1,0.12")

    with pytest.warns(OnstageWarning, match="ended in an incomplete row, which is removed: '1,0.12'"):
        rows = log(path, {"loss": 2.0}, append=True, initial_epoch=1)

    assert rows == [["epoch", "loss"], ["0", "1.0"], ["1", "2.0"]]


@pytest.mark.parametrize("cell", ["=1+2", "+cmd", "-x", "@SUM(A1)", "\t=1", "\n=1"])
def test_text_that_a_spreadsheet_would_run_is_quoted(path, cell):
    rows = log(path, {"note": cell, cell: 1.0})

    assert all(not text.strip("\t\r\n ").startswith(("=", "+", "-", "@")) for row in rows for text in row)


def test_negative_numbers_are_not_formulas(path):
    assert log(path, {"loss": -1.5})[1] == ["0", "-1.5"]


def test_text_with_separators_quotes_and_line_breaks_stays_in_its_cell(path):
    rows = log(path, {"loss": 1.0, "note": 'a,"b"\nc'})

    assert rows[1] == ["0", "1.0", 'a,"b" c']


def test_uses_the_separator(path):
    log(path, {"loss": 1.0}, separator=";")

    assert table(path, ";") == [["epoch", "loss"], ["0", "1.0"]]


class Resumes:
    """Takes up a state before any other callback begins."""

    def __init__(self, state):
        self.state = state

    def on_train_begin(self, run):
        run.load_state_dict(self.state)


def state_after(callback, *logs):
    """The state of a run as it is after its last epoch."""
    kept = []

    class Keeps:
        def on_epoch_end(self, run):
            kept.append(run.state_dict())

    replay([callback, Keeps()], logs)
    return kept[-1]


def resume(state, path, *logs):
    with Run(
        callbacks=[Resumes({**state, "model": None}), CSVLogger(path)], epochs=state["epoch"] + len(logs)
    ) as run:
        for epoch in run.epochs():
            run.log(logs[epoch - state["epoch"]])


def test_a_resumed_run_has_every_row_once(path):
    state = state_after(CSVLogger(path), {"loss": 3.0}, {"loss": 2.0})
    with open(path, "a") as file:
        file.write("2,1.5\n3,1.2")  # what the killed run wrote after its backup

    resume(state, path, {"loss": 1.5}, {"loss": 1.25})

    assert path.read_text() == "epoch,loss\n0,3.0\n1,2.0\n2,1.5\n3,1.25\n"


def test_a_column_that_appeared_after_the_backup_appears_again(path):
    state = state_after(CSVLogger(path), {"loss": 3.0})
    path.write_text("epoch,loss,val_loss\n0,3.0,NA\n1,2.0,2.5\n")

    resume(state, path, {"loss": 2.0, "val_loss": 2.5})

    assert path.read_text() == "epoch,loss,val_loss\n0,3.0,NA\n1,2.0,2.5\n"


def test_warns_if_rows_were_lost_since_the_backup(path):
    state = state_after(CSVLogger(path), {"loss": 3.0}, {"loss": 2.0})
    path.unlink()

    with pytest.warns(
        OnstageWarning, match="had 2 rows when the run was saved, now 0; the other rows are lost"
    ):
        resume(state, path, {"loss": 1.0})

    assert path.read_text() == "epoch,loss\n2,1.0\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3,), "filename must be the path of a file, got 3"),
        (("",), "filename must be the path of a file, got ''"),
        (("a", ", "), "separator must be one character other than a quote or line break, got ', '"),
        (("a", '"'), "separator must be one character"),
        (("a", ",", 1), "append must be True or False, got 1"),
    ],
)
def test_an_invalid_argument_is_refused_at_once(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        CSVLogger(*arguments)


def test_a_second_training_that_writes_the_file_is_refused_and_the_rows_are_those_of_the_first(path):
    class Trains(Callback):
        def on_epoch_end(self, epoch):
            with pytest.raises(RuntimeError, match=r"filename '.*log.csv' must be used by one training"):
                log(path, {"loss": 9.0})

    replay([CSVLogger(path), Trains()], [{"loss": 1.0}, {"loss": 2.0}])

    assert table(path) == [["epoch", "loss"], ["0", "1.0"], ["1", "2.0"]]
    assert os.listdir(path.parent) == ["log.csv"]


def test_the_file_is_free_again_after_an_error(path):
    class Fails:
        def on_epoch_end(self):
            raise KeyError

    with pytest.raises(KeyError):
        replay([CSVLogger(path), Fails()], [{"loss": 1.0}])

    assert log(path, {"loss": 2.0}) == [["epoch", "loss"], ["0", "2.0"]]


class Disk:
    """Makes chosen flushes of the log fail, by their numbers from 0, after `keeps` bytes of the row."""

    def __init__(self, monkeypatch, path, sick, keeps):
        self.path, self.sick, self.keeps, self.count = path, set(sick), keeps, -1
        monkeypatch.setattr(onstage_csv_logger, "flush_to_disk", self.flush)

    def flush(self, descriptor):
        self.count += 1
        if self.count in self.sick:
            whole = self.path.read_bytes()
            row = whole[: whole.rstrip(b"\n").rfind(b"\n") + 1]
            os.truncate(self.path, len(row) + min(self.keeps, len(whole) - len(row)))
            raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("keeps", [0, 3, 100], ids=["no byte", "half a row", "the row"])
def test_a_row_that_could_not_be_written_is_written_with_the_next_one(path, monkeypatch, keeps):
    Disk(monkeypatch, path, {1, 3, 4}, keeps)
    logs = [{"loss": 1.0}, {"loss": -2.0}, {"loss": 3.0, "new": 0.5}, {"loss": 4.0}]

    with pytest.warns(OnstageWarning, match="tries again the next time: OSError") as caught:
        rows = log(path, *logs)

    assert len(caught) == 3
    assert rows == [
        ["epoch", "loss", "new"],
        ["0", "1.0", "NA"],
        ["1", "-2.0", "NA"],
        ["2", "3.0", "0.5"],
        ["3", "4.0", "NA"],
    ]


def test_a_row_that_can_not_be_written_until_the_end_is_an_error(path, monkeypatch):
    Disk(monkeypatch, path, {2, 3}, 0)

    with (
        pytest.warns(OnstageWarning, match="tries again"),
        pytest.raises(OSError, match="Input/output error") as caught,
    ):
        log(path, *[{"loss": 1.0}] * 3)

    assert "in on_train_end" in caught.value.__notes__[0]


def test_three_errors_in_a_row_end_the_training(path, monkeypatch):
    Disk(monkeypatch, path, {1, 2, 3}, 0)

    with (
        pytest.warns(OnstageWarning, match="tries again") as caught,
        pytest.raises(OSError, match="Input/output error") as raised,
    ):
        log(path, *[{"loss": 1.0}] * 9)

    assert len(caught) == 2
    assert "in on_epoch_end, epoch 4" in raised.value.__notes__[0]


def test_a_file_that_can_not_be_created_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        log(tmp_path / "file" / "log.csv", {"loss": 1.0})


def test_a_row_that_was_not_written_before_the_backup_is_written_after_the_resume(path, monkeypatch):
    Disk(monkeypatch, path, {1}, 3)
    with pytest.warns(OnstageWarning, match="tries again"):
        state = state_after(CSVLogger(path), {"loss": 3.0}, {"loss": -2.0})
    assert len(table(path)) == 3, "written at the end, which the backup is not from"

    resume(state, path, {"loss": 1.0})

    assert path.read_text() == "epoch,loss\n0,3.0\n1,-2.0\n2,1.0\n"


@pytest.mark.parametrize(
    "unwritten",
    [
        [3],
        [{}],
        [{"loss": "1.0"}],
        [{"loss": "1.0", "epoch": "1"}],
        [{"epoch": 1}],
        [{"epoch": "1", "loss": "=1+1"}],
        [{"epoch": "1", "=loss": "1.0"}],
        [{"epoch": "1", "loss": "-1+1"}],
        [{"epoch": "1", "loss": "1\n2"}],
    ],
)
def test_rows_in_a_backup_that_are_not_of_this_callback_are_refused(path, unwritten):
    callback = CSVLogger(path)
    before = callback.state_dict()

    with pytest.raises(StateError, match="saved rows must be names and cells as this callback writes them"):
        callback.load_state_dict({"columns": ["epoch"], "rows": 0, "unwritten": unwritten})

    assert callback.state_dict() == before
    assert not path.exists()
