import contextlib
import io
import os
import re
import sys
import threading
import time

import numpy as np
import pytest
from onstage_progbar_logger import INTERVAL, ProgbarLogger

from onstage import Run, Sequential, layers
from onstage.logs import LazyLogs
from onstage.testing import FakeModel, check_callback, replay


class Terminal(io.StringIO):
    """Says that it is a terminal, and remembers when it was written to."""

    def __init__(self):
        super().__init__()
        self.times = []

    def isatty(self):
        return True

    def write(self, text):
        self.times.append(time.perf_counter())
        return super().write(text)

    @property
    def screen(self):
        """What stands there in the end: each line after its last carriage return."""
        return [line.rsplit("\r", 1)[-1].rstrip() for line in self.getvalue().split("\n")]


def show(file, *logs, verbose="auto", batches=2, **params):
    bar = ProgbarLogger(file=file)
    replay(bar, logs, verbose=verbose, batches=batches, params=params)
    return file.getvalue() if isinstance(file, io.StringIO) else ""


def test_behaves_as_every_callback_must():
    check_callback(ProgbarLogger)


def test_a_file_gets_one_plain_line_per_epoch():
    text = show(io.StringIO(), {"loss": 0.5, "val_loss": 0.25}, {"loss": 0.0005})

    lines = text.splitlines()
    assert len(lines) == 2
    duration = r"\d+(\.\d+)? (s|ms|µs)"
    assert re.fullmatch(
        f"Epoch 1/2 - {duration} - {duration}/step - loss: 0.5000 - val_loss: 0.2500", lines[0]
    )
    assert lines[1].endswith("loss: 5.0000e-04")
    assert text.isprintable() or set(filter(lambda sign: not sign.isprintable(), text)) == {"\n"}


def test_a_terminal_gets_a_bar_per_epoch_with_its_final_metrics():
    terminal = Terminal()

    show(terminal, {"loss": 0.5, "val_loss": 0.25}, {"loss": 0.125})

    first, second, last = terminal.screen
    assert first.startswith("Epoch 1/2: 2/2 [")
    assert first.endswith("loss=0.5000, val_loss=0.2500]")
    assert second.startswith("Epoch 2/2: 2/2 [")
    assert second.endswith("loss=0.1250]")
    assert last == ""
    assert "\x1b" not in terminal.getvalue()


def test_verbose_2_prints_lines_on_a_terminal():
    assert "\r" not in show(Terminal(), {"loss": 0.5}, verbose=2)


def test_verbose_1_writes_a_bar_without_escape_codes_to_a_file():
    text = show(io.StringIO(), {"loss": 0.5}, verbose=1)

    assert "\r" in text
    assert "\x1b" not in text


def test_verbose_0_shows_nothing():
    assert show(io.StringIO(), {"loss": 0.5}, verbose=0) == ""


def test_writes_to_stdout_at_the_start_of_the_run(capsys):
    replay(ProgbarLogger(), [{"loss": 0.5}], verbose=2)

    assert capsys.readouterr().out.startswith("Epoch 1/1 - ")


def test_redraws_at_most_20_times_a_second():
    terminal = Terminal()
    began = time.perf_counter()

    with Run(FakeModel(), ProgbarLogger(file=terminal), epochs=1, verbose=1) as run:
        for _ in run.epochs():
            for _ in run.batches(iter(lambda: time.perf_counter() - began < 0.3, False)):
                run.log(loss=1.0, samples=1)

    # One more when it opens, and two when it closes.
    assert terminal.getvalue().count("\r") <= 3 + (time.perf_counter() - began) / INTERVAL


def test_logs_are_not_read_between_redraws():
    looks = []

    def look():
        looks.append(1)
        return {"loss": 1.0}

    bar = ProgbarLogger(file=Terminal())
    bar.set_params({"verbose": 1, "epochs": 1, "steps": 1000})
    bar.on_train_begin()
    began = time.perf_counter()
    bar.on_epoch_begin(0)
    for batch in range(1000):
        bar.on_train_batch_end(batch, LazyLogs(look))
    took = time.perf_counter() - began
    bar.on_teardown()

    assert len(looks) <= took / INTERVAL


def test_an_unknown_length_is_known_after_the_first_epoch():
    terminal = Terminal()
    data = [[1.0]] * 3
    with Run(FakeModel(), ProgbarLogger(file=terminal), epochs=2, verbose=1) as run:
        for _ in run.epochs():
            for _ in run.batches(iter(data)):
                run.log(loss=1.0)

    assert terminal.screen[0].startswith("Epoch 1/2: 3/3 [")
    assert "Epoch 1/2: 0step [" in terminal.getvalue()
    assert "| 0/3 [" in terminal.getvalue()


def test_an_unknown_number_of_epochs_is_left_out():
    assert show(io.StringIO(), {"loss": 1.0}, epochs=1).startswith("Epoch 1/1 - ")
    file = io.StringIO()
    with Run(FakeModel(), ProgbarLogger(file=file), epochs=None, verbose=2) as run:
        for _ in run.epochs():
            run.stop("once is enough")
    assert file.getvalue().startswith("Epoch 1 - ")


def test_validation_batches_are_counted_on_the_bar():
    terminal = Terminal()
    with Run(FakeModel(), ProgbarLogger(file=terminal), epochs=1, steps=1, verbose=1) as run:
        for _ in run.epochs():
            for _ in run.batches([1.0]):
                run.log(loss=1.0)
            for _ in run.test_batches(range(3)):
                time.sleep(INTERVAL)
                run.log(loss=2.0)

    assert "validation 2" in terminal.getvalue()
    assert terminal.screen[0].endswith("loss=1.0000, val_loss=2.0000]")


@pytest.fixture
def model():
    model = Sequential([layers.Input((2,)), layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    return model


X, Y = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")


def test_one_instance_shows_fit_evaluate_predict_and_fit_again(model):
    file = io.StringIO()
    bar = ProgbarLogger(file=file)

    model.fit(X, Y, batch_size=4, callbacks=bar, verbose=2)
    model.evaluate(X, Y, batch_size=4, callbacks=bar, verbose=2)
    model.predict(X, batch_size=4, callbacks=bar, verbose=2)
    model.fit(X, Y, batch_size=4, callbacks=bar, verbose=2)

    assert [line.split(" - ")[0] for line in file.getvalue().splitlines()] == [
        "Epoch 1/1",
        "Evaluate",
        "Predict",
        "Epoch 1/1",
    ]


def test_an_error_closes_the_bar_and_does_not_affect_the_next_run(model):
    terminal = Terminal()
    bar = ProgbarLogger(file=terminal)

    class Fails:
        def on_train_batch_end(self, batch):
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        model.fit(X, Y, callbacks=[Fails(), bar], verbose=1)
    assert terminal.getvalue().endswith("\n")

    model.evaluate(X, Y, callbacks=bar, verbose=1)
    assert terminal.screen[-2].startswith("Evaluate: 1/1 [")


def test_starts_no_thread(model):
    before = threading.active_count()

    model.fit(X, Y, callbacks=ProgbarLogger(file=Terminal()), verbose=1)

    assert threading.active_count() == before


def test_an_epoch_resumed_in_its_middle_continues_its_count():
    terminal = Terminal()
    bar = ProgbarLogger(file=terminal)
    bar.set_params({"verbose": 1, "epochs": 1, "steps": 10})
    bar.on_train_begin()
    bar.on_epoch_begin(0)
    for batch in range(8, 10):
        bar.on_train_batch_end(batch, {"loss": 1.0})
    bar.on_epoch_end(0, {"loss": 1.0})

    assert "10/10" in terminal.screen[0]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("columns", [0, 40])
def test_the_final_metrics_of_an_epoch_are_never_truncated(columns):
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 0, columns, 0, 0))
    with open(theirs, "w") as terminal:
        show(terminal, {"loss": 0.5, "accuracy": 0.75, "val_loss": 0.25, "val_accuracy": 0.125})
    shown = b""
    with contextlib.suppress(OSError):  # what comes at the end, once the other side is closed
        while part := os.read(ours, 100_000):
            shown += part
    os.close(ours)

    assert "loss=0.5000, accuracy=0.7500, val_loss=0.2500, val_accuracy=0.1250]" in shown.decode()


def test_notebooks_get_the_bar_of_tqdm_auto(monkeypatch):
    made = []

    class Widget:
        n = initial = 0

        def __init__(self, **options):
            made.append(options)

        def set_postfix_str(self, text, refresh): ...
        def refresh(self): ...
        def close(self): ...

    monkeypatch.setitem(sys.modules, "ipykernel", object())
    monkeypatch.setitem(sys.modules, "tqdm.auto", type("auto", (), {"tqdm": Widget}))

    replay(ProgbarLogger(), [{"loss": 1.0}], verbose="auto")

    assert made[0]["desc"] == "Epoch 1/1"


def test_a_file_that_cannot_be_written_to_is_refused_at_once():
    with pytest.raises(TypeError, match=r"file must be an open text file or None, got 'log\.txt'"):
        ProgbarLogger(file="log.txt")
