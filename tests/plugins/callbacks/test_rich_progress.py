"""RichProgress: what a person sees in a pseudo-terminal, and the lines of a file."""

import io
import re

import numpy as np
import pytest
from onstage_progbar_logger import ProgbarLogger
from onstage_rich_progress import RichProgress
from screen import Screen

from onstage import Run, Sequential, layers

IMPORT = "from onstage.callbacks import RichProgress\n"
NUMBER = r"\d\.\d{4}"

PRINTS = """
class Prints(Callback):
    def on_train_batch_end(self, batch, logs):
        if batch == 2:
            print("printed in a batch", flush=True)
        if batch == 3:
            print("an error", "message", file=sys.stderr)
        if batch == 4:
            logging.info("a log record")
        if batch == 5:
            print("two\\nlines [bold]")
        if batch > 5:
            print(".", end="")
    def on_epoch_end(self, epoch, logs):
        print("\\nprinted after the epoch")
fit(Prints(), RichProgress(), epochs=2)
print("the write of the stream is its own again:", "write" not in vars(sys.stdout))
"""


@pytest.mark.parametrize("columns", [60, 100])
def test_prints_stand_above_the_table_on_lines_of_their_own(columns):
    screen = Screen(IMPORT + PRINTS, columns)

    printed = ["printed in a batch", "an error message", "a log record", "two", "lines [bold]", ".."]
    printed += ["printed after the epoch"]
    assert screen.lines[:14] == printed * 2
    assert screen.lines[-1] == "the write of the stream is its own again: True"
    assert set(printed) <= set(screen.shown)
    for frame in screen.frames:
        text = "\n".join(frame)
        assert text.count("Training") <= 1
        assert "printed" not in text[text.find("Training") :] or "Training" not in text


def test_the_bars_have_batches_metrics_and_the_time_that_remains():
    screen = Screen(IMPORT + "fit(RichProgress(), epochs=2)", 100)

    pace = r"\d+\.\d\d ms/step"
    frames = ["\n".join(frame) for frame in screen.frames]
    epoch = rf"Epoch 1/2 4/8  ━+[╸╺]?━+  {pace}  ETA 0:0\d\nloss={NUMBER}  accuracy={NUMBER}\n"
    assert any(re.search(epoch + r"Training  ━+[╸╺]?━+  ETA 0:0\d$", frame) for frame in frames)


def test_the_table_has_the_epochs_and_marks_the_best():
    screen = Screen(IMPORT + "fit(Worse(), RichProgress(), epochs=3, validation_split=0.25)", 100)

    assert screen.lines[0].split() == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    rows = [line.split() for line in screen.lines[2:5]]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert [row[3] for row in rows] == ["1.0000", "2.0000", "3.0000"]
    assert [row[5:] for row in rows] == [["best"], [], []]
    assert re.fullmatch(r"3 epochs in \d\.\d\d s", screen.lines[5])
    assert len(screen.lines) == 6


def test_a_long_training_shows_its_last_epochs_and_the_best():
    screen = Screen(IMPORT + "fit(Worse(), RichProgress(rows=3), epochs=6, validation_split=0.25)", 100)

    assert [line.split()[0] for line in screen.lines[2:-1]] == ["1", "...", "4", "5", "6"]


def test_a_low_terminal_is_never_overflowed():
    screen = Screen(IMPORT + "fit(Worse(), RichProgress(), epochs=8, validation_split=0.25)", 80, rows=12)

    assert screen.lines[0].split()[0] == "epoch"  # nothing scrolled away before the table of the end
    assert sum("Training" in line for line in screen.lines) == 0
    assert max(len(frame) for frame in screen.frames) <= 12


def test_a_validation_has_its_own_count_and_early_stopping_its_patience():
    program = "fit(Worse(), EarlyStopping(patience=2), RichProgress(), epochs=9, validation_split=0.25)"

    screen = Screen(IMPORT + program, 100)

    assert any(re.match(r"Epoch \d/9 validation [12]/[?2] ", line) for line in screen.shown)
    assert any("1/2 without improvement" in line for line in screen.shown)
    assert "stopped by EarlyStopping: val_loss has not improved for 2 epochs" in screen.lines[-1]


@pytest.mark.parametrize("columns", [30, 40, 60, 100])
def test_no_number_of_the_table_is_ever_cut(columns):
    screen = Screen(IMPORT + "fit(Worse(), RichProgress(), epochs=2, validation_split=0.25)", columns)

    assert not any("…" in line for line in screen.shown)
    rows = [line.split() for line in screen.lines if re.match(r" +[12] ", line)]
    assert len(rows) == 2
    assert all(re.fullmatch(NUMBER, cell) for row in rows for cell in row[1:] if cell != "best")


def test_evaluate_and_predict_have_a_line_each():
    program = "model.evaluate(x, y, callbacks=[RichProgress()]); model.predict(x, callbacks=[RichProgress()])"

    screen = Screen(IMPORT + program, 80)

    assert re.fullmatch(r"Evaluate  loss=\S+  accuracy=\S+  \S+ m?s  .*/step", screen.lines[0])
    assert re.fullmatch(r"Predict  \S+ m?s  .*/step", screen.lines[1])
    assert len(screen.lines) == 2


def test_an_evaluation_in_a_callback_has_its_line_above_the_table():
    program = """
class Evaluates(Callback):
    def on_epoch_end(self, epoch, logs):
        self.model.evaluate(x, y)
fit(Evaluates(), RichProgress(), epochs=2)
"""

    screen = Screen(IMPORT + program, 100)

    assert [line.split()[0] for line in screen.lines[:3]] == ["Evaluate", "Evaluate", "epoch"]


def test_prints_of_a_thread_are_whole_too():
    program = """
def talk():
    for number in range(200):
        print("line", number, "of the thread")
        time.sleep(0.001)
thread = threading.Thread(target=talk)
thread.start()
fit(RichProgress(), epochs=1)
thread.join()
"""

    screen = Screen(IMPORT + program, 80)

    lines = [line for line in screen.lines if line.startswith("line")]
    assert lines == [f"line {number} of the thread" for number in range(200)]


def test_after_an_error_the_bars_stay_and_the_traceback_stands_below():
    program = """
class Fails(Callback):
    def on_train_batch_end(self, batch, logs):
        if batch == 3:
            raise RuntimeError("by design")
fit(Fails(), RichProgress(), epochs=1)
"""

    screen = Screen(IMPORT + program, 80)

    assert screen.returncode == 1
    assert re.match("Epoch 1/1 [1-3]/8  ━", screen.lines[0])
    assert "Traceback (most recent call last):" in screen.lines[2]
    assert "RuntimeError: by design" in screen.lines


def test_a_terminal_without_cursor_control_gets_lines():
    screen = Screen(IMPORT + "fit(RichProgress(), epochs=1)", 120, TERM="dumb")

    assert re.match(r"Epoch 1/1 - .* - loss: ", screen.lines[1])
    assert b"\x1b" not in screen.raw


def test_it_takes_the_place_of_the_default_bar_and_is_called_last():
    run = Run(None, [RichProgress(file=io.StringIO()), "terminate_on_nan"], verbose=1)

    names = [type(plugin).__name__ for _, plugin in run.bus.plugins()]
    assert names[-1] == "RichProgress"
    assert "ProgbarLogger" not in names


def test_an_object_that_shows_progress_takes_the_place_of_the_default_bar():
    class Own:
        shows_progress = True

        def on_epoch_end(self, epoch):
            pass

    run = Run(None, [Own()], verbose=1)

    assert "ProgbarLogger" not in [type(plugin).__name__ for _, plugin in run.bus.plugins()]


def linear():
    model = Sequential([layers.Dense(1)], seed=0)
    model.compile("sgd", loss="mse")
    return model, np.random.default_rng(0).normal(size=(32, 4)).astype("float32")


def test_a_file_gets_the_lines_of_the_progbar_logger():
    texts = []
    for kind in (RichProgress, ProgbarLogger):
        model, x = linear()
        file = io.StringIO()
        model.fit(x, x[:, :1], epochs=2, seed=0, callbacks=[kind(file=file)])
        texts.append(re.sub(r"\d+(\.\d+)? [mµ]?s", "TIME", file.getvalue()).replace(" ", ""))

    assert "loss:" in texts[0]
    assert texts[0] == texts[1]


class Closed(io.StringIO):
    """A terminal that is gone."""

    encoding = "utf-8"

    def isatty(self):
        return True

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")


def test_a_stream_that_fails_ends_the_display_and_not_the_training(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")

    model, x = linear()

    with (
        pytest.warns(UserWarning, match=r"RichProgress.*Broken pipe"),
        pytest.warns(UserWarning, match="went on without: RichProgress"),
    ):
        history = model.fit(x, x[:, :1], epochs=3, callbacks=[RichProgress(file=Closed())])

    assert history.epoch == [0, 1, 2]


@pytest.mark.parametrize(("rows", "error"), [(0, ValueError), (2.5, TypeError)])
def test_refuses_a_number_of_rows_that_is_none(rows, error):
    with pytest.raises(error, match="rows must be an integer >= 1"):
        RichProgress(rows=rows)
