"""What a person sees: a training with ProgbarLogger in a pseudo-terminal."""

import re

import pytest
from screen import Screen

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
            print("two\\nlines")
        if batch > 5:
            print(".", end="")
    def on_epoch_end(self, epoch, logs):
        print("\\nprinted after the epoch")
fit(Prints(), epochs=2)
print("the write of the stream is its own again:", "write" not in vars(sys.stdout))
"""


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_prints_stand_above_the_bar_on_lines_of_their_own(columns):
    screen = Screen(PRINTS, columns)

    printed = [
        "printed in a batch",
        "an error message",
        "a log record",
        "two",
        "lines",
        "..",
        "printed after the epoch",
    ]
    wanted = [*printed, "Epoch 1/2  loss", *printed, "Epoch 2/2  loss", "the write of the stream is its own"]
    texts = [line for line in screen.lines if not line.startswith(" ")]
    assert [line[: len(want)] for line, want in zip(texts, wanted, strict=False)] == wanted
    assert set(printed) <= set(screen.shown)
    assert any(line.startswith("Epoch 1/2 3/8") for line in screen.shown)  # the bar comes back after them


METRICS = "loss|accuracy|val_loss|val_accuracy"


@pytest.mark.parametrize("columns", [0, 40, 60, 80, 120])
def test_no_number_is_ever_cut(columns):
    screen = Screen("fit(Worse(), EarlyStopping(patience=8), validation_split=0.25)", columns)

    assert any("validation" in line for line in screen.shown)
    for line in screen.shown:
        assert re.fullmatch(rf"(.*?(({METRICS})=\d+\.\d{{4}}(?!\S))?)*", line)
        assert "=" not in re.sub(rf"({METRICS})=\d+\.\d{{4}}(?!\S)", "", line)
        assert "step" not in line or re.search(r"\d+(\.\d+)? (s|ms|µs)/step(?!\S)", line)
    final = " ".join(line for line in screen.lines)
    assert final.count("val_accuracy=") == 3


def test_the_line_has_metrics_then_time_per_step_and_what_remains_then_the_bar():
    screen = Screen("fit(epochs=2)", 80)

    number, pace = r"\d\.\d{4}", r"\d+\.\d\d ms/step"
    line = rf"Epoch 1/2 2/8  loss={number} accuracy={number}  {pace}  ETA 0:0\d \(0:0\d\)( +\|.*\|)?"
    assert any(re.fullmatch(line, shown) for shown in screen.shown)


def test_a_wide_terminal_has_a_bar_too():
    screen = Screen("fit(epochs=1)", 120)

    assert any(re.search(r"Epoch 1/1 4/8 .*  \|█+ +\|$", line) for line in screen.shown)


def test_a_validation_has_its_own_count():
    screen = Screen("fit(epochs=2, validation_split=0.25)", 80)

    assert any(line.startswith("Epoch 1/2 validation 1/?  loss=") for line in screen.shown)
    assert any(line.startswith("Epoch 2/2 validation 1/2  loss=") for line in screen.shown)


def test_a_finished_epoch_is_one_aligned_line():
    screen = Screen("fit(epochs=10, validation_split=0.25)", 80)

    assert len(screen.lines) == 10
    number = r"\d\.\d{4}"
    for count, line in enumerate(screen.lines, 1):
        metrics = rf"loss={number}  accuracy={number}  val_loss={number}  val_accuracy={number}"
        assert re.fullmatch(rf"Epoch {count:>2}/10  {metrics}", line)


def test_early_stopping_shows_its_patience():
    screen = Screen("fit(Worse(), EarlyStopping(patience=2), epochs=9, validation_split=0.25)", 120)

    assert [re.findall(r"\d/2 without improvement", line) for line in screen.lines] == [
        [],
        ["1/2 without improvement"],
        ["2/2 without improvement"],
    ]
    assert any(re.search(r"Epoch 3/9 .*  1/2 without improvement", line) for line in screen.shown)


def test_evaluate_and_predict_have_a_line_each():
    screen = Screen("model.evaluate(x, y); model.predict(x)", 80)

    assert re.fullmatch(r"Evaluate  loss=\S+  accuracy=\S+  \S+ m?s  .*/step", screen.lines[0])
    assert re.fullmatch(r"Predict  \S+ m?s  .*/step", screen.lines[1])


def test_a_bar_inside_the_programs_bar_leaves_both_whole():
    program = """
from tqdm import tqdm
class Prints(Callback):
    def on_train_batch_end(self, batch, logs):
        if batch == 2:
            print("printed")
for fold in tqdm(range(2), desc="folds", ncols=60):
    fit(Prints(), epochs=1)
"""

    screen = Screen(program, 80)

    kinds = [line.split()[0].rstrip(":") for line in screen.lines]
    assert kinds == ["printed", "Epoch", "printed", "Epoch", "folds"]
    assert all(
        line.count("Epoch") + line.count("folds") + line.count("printed") <= 1 for line in screen.shown
    )


def test_an_evaluation_in_a_callback_has_its_line_above_the_epochs():
    program = """
class Evaluates(Callback):
    def on_epoch_end(self, epoch, logs):
        self.model.evaluate(x, y)
fit(Evaluates(), epochs=2)
"""

    screen = Screen(program, 80)

    assert [line.split()[0] for line in screen.lines] == ["Evaluate", "Epoch", "Evaluate", "Epoch"]


def test_prints_of_a_thread_are_whole_too():
    program = """
def talk():
    for number in range(200):
        print("line", number, "of the thread")
        time.sleep(0.001)
thread = threading.Thread(target=talk)
thread.start()
fit(epochs=1)
thread.join()
"""

    screen = Screen(program, 80)

    lines = [line for line in screen.lines if not line.startswith("Epoch")]
    assert lines == [f"line {number} of the thread" for number in range(200)]


def test_after_an_error_the_line_stays_and_the_traceback_stands_below():
    program = """
class Fails(Callback):
    def on_train_batch_end(self, batch, logs):
        if batch == 3:
            raise RuntimeError("by design")
fit(Fails(), epochs=1)
"""

    screen = Screen(program, 80)

    assert screen.returncode == 1
    assert screen.lines[0].startswith("Epoch 1/1 3/8  loss=")
    assert screen.lines[1] == "Traceback (most recent call last):"
    assert "RuntimeError: by design" in screen.lines


def test_a_terminal_of_few_characters_gets_a_bar_of_them():
    screen = Screen("fit(epochs=1)", 120, PYTHONIOENCODING="gbk")

    assert screen.returncode == 0
    assert any(re.search(r"Epoch 1/1 4/8 .*\|#+ +\|$", line) for line in screen.shown)


def test_messages_of_callbacks_leave_no_empty_lines():
    program = """
from onstage.callbacks import LearningRateScheduler
fit(LearningRateScheduler(lambda epoch: 0.1, verbose=1), epochs=2)
"""

    screen = Screen(program, 80)

    assert [line.split(":")[0][:9] for line in screen.lines] == [
        "Epoch 1",
        "Epoch 1/2",
        "Epoch 2",
        "Epoch 2/2",
    ]
    assert b"\n\r\n" not in screen.raw
    assert not screen.raw.startswith(b"\r\n")
