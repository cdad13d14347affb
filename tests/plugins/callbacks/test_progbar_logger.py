"""The progress of a training in files, and what both displays have in common."""

import io
import re
import threading
from datetime import datetime

import numpy as np
import pytest
from onstage_progbar_logger import ProgbarLogger
from onstage_progbar_logger.progress import Loop
from onstage_progbar_logger.text import clock

from onstage import Run, Sequential, layers
from onstage.callbacks import EarlyStopping
from onstage.logs import LazyLogs
from onstage.testing import FakeModel, check_callback, replay

DURATION = r" *\d+(\.\d+)? (s|ms|µs)"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def show(*logs, verbose="auto", batches=2, callbacks=(), **options):
    """Return the lines that a training prints to a file."""
    file = io.StringIO()
    bar = ProgbarLogger(file=file, **options)
    replay([*callbacks, bar], logs, verbose=verbose, batches=batches)
    return file.getvalue().splitlines()


def test_behaves_as_every_callback_must():
    check_callback(ProgbarLogger)


def test_a_file_gets_a_line_at_the_start_and_one_per_epoch():
    start, first, second = show({"loss": 0.5, "val_loss": 0.25}, {"loss": 0.0005, "val_loss": 10.0})

    assert (
        start
        == "Training FakeModel: 2 epochs, 2 steps per epoch, 2 samples, batch size 1; callbacks: Recorder"
    )
    assert re.fullmatch(f"Epoch 1/2 - {DURATION} - {DURATION}/step - loss: 0.5000 - val_loss: 0.2500", first)
    assert re.fullmatch(
        f"Epoch 2/2 - {DURATION} - {DURATION}/step - loss: 5.0000e-04 - val_loss: 10.0000", second
    )
    assert all(line.isprintable() for line in (start, first, second))


def test_the_metrics_of_the_epochs_are_aligned():
    lines = show(*[{"loss": 10.0, "accuracy": 0.5}, *[{"loss": 9.5, "accuracy": 1.0}] * 9], verbose=2)

    assert [line[:12] for line in lines[8:]] == ["Epoch  9/10 ", "Epoch 10/10 "]
    metrics = [line[line.index("loss") :] for line in lines]
    assert metrics[0] == "loss: 10.0000 - accuracy: 0.5000"
    assert metrics[1] == "loss: 9.5000  - accuracy: 1.0000"


def test_the_first_line_says_what_trains():
    file = io.StringIO()
    model = Sequential([layers.Input((2,)), layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    callbacks = [EarlyStopping("loss"), "terminate_on_nan", ProgbarLogger(file=file)]

    model.fit(X, Y, batch_size=4, epochs=3, callbacks=callbacks)

    assert file.getvalue().splitlines()[0] == (
        "Training Sequential: 3 epochs, 2 steps per epoch, 8 samples, batch size 4; "
        "callbacks: EarlyStopping, TerminateOnNaN"
    )


def test_a_long_epoch_prints_a_line_at_intervals():
    file = io.StringIO()
    bar = ProgbarLogger(file=file, log_every=1e-9)

    with Run(FakeModel(), bar, epochs=2, steps=3, verbose="auto") as run:
        for _ in run.epochs():
            for _ in run.batches([1.0, 2.0, 3.0]):
                run.log(loss=1.0, samples=1)
            for _ in run.test_batches([1.0, 2.0]):
                run.log(loss=2.0, samples=1)

    lines = file.getvalue().splitlines()[1:]
    pace = f"{DURATION}/step"
    left, last = r"ETA \d:\d\d - training \d:\d\d", r"ETA \d:\d\d"
    expected = [
        *(f"Epoch 1/2 - step {step}/3 - loss: 1.0000 - {pace} - {left}" for step in (1, 2, 3)),
        f"Epoch 1/2 - validation 1/\\? - loss: 1.0000 - val_loss: 2.0000 - {pace} - {left}",
        f"Epoch 1/2 - validation 2/\\? - loss: 1.0000 - val_loss: 2.0000 - {pace} - {left}",
        f"Epoch 1/2 - {DURATION} - {pace} - loss: 1.0000 - val_loss: 2.0000",
        *(f"Epoch 2/2 - step {step}/3 - loss: 1.0000 - {pace} - {last}" for step in (1, 2, 3)),
        f"Epoch 2/2 - validation 1/2 - loss: 1.0000 - val_loss: 2.0000 - {pace} - {last}",
        f"Epoch 2/2 - validation 2/2 - loss: 1.0000 - val_loss: 2.0000 - {pace} - {last}",
        f"Epoch 2/2 - {DURATION} - {pace} - loss: 1.0000 - val_loss: 2.0000",
    ]
    assert len(lines) == len(expected)
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(pattern, line)


def test_lines_may_have_the_time():
    before = datetime.now().astimezone().replace(microsecond=0)

    lines = show({"loss": 0.5}, timestamps=True)

    for line, begin in zip(lines, ("Training", "Epoch 1/1"), strict=True):
        written, _, rest = line.partition(" ")
        assert before <= datetime.fromisoformat(written) <= datetime.now().astimezone()
        assert rest.startswith(begin)


def test_a_stop_in_the_middle_of_an_epoch_is_told():
    file = io.StringIO()

    with Run(FakeModel(), ProgbarLogger(file=file), epochs=2, steps=8, verbose=2) as run:
        for _ in run.epochs():
            for batch in run.batches(range(8)):
                run.log(loss=1.0, samples=1)
                if batch == 2:
                    run.stop("enough")

    assert file.getvalue().endswith("loss: 1.0000 - stopped at step 3/8\n")


def test_early_stopping_shows_its_patience():
    losses = [{"loss": loss} for loss in (1.0, 0.5, 0.7, 0.6, 0.4)]

    lines = show(*losses, verbose=2, callbacks=[EarlyStopping("loss", patience=8)])

    assert ["without" in line for line in lines] == [False, False, True, True, False]
    assert lines[2].endswith("loss: 0.7000 - 1/8 without improvement")
    assert lines[3].endswith("loss: 0.6000 - 2/8 without improvement")


def test_any_callback_may_describe_its_progress():
    class Warms:
        def describe_progress(self):
            return "warming up"

        def on_epoch_end(self): ...

    assert show({"loss": 0.5}, callbacks=[Warms()])[-1].endswith("loss: 0.5000 - warming up")


def test_verbose_2_prints_lines_on_a_terminal():
    terminal = Terminal()

    replay(ProgbarLogger(file=terminal), [{"loss": 0.5}] * 2, verbose=2)

    assert re.fullmatch("(Epoch ./2 - .*\n){2}", terminal.getvalue())


def test_verbose_0_shows_nothing():
    assert show({"loss": 0.5}, verbose=0) == []


def test_writes_to_stdout_at_the_start_of_the_run(capsys):
    replay(ProgbarLogger(), [{"loss": 0.5}], verbose=2)

    assert capsys.readouterr().out.startswith("Epoch 1/1 - ")


def test_logs_are_not_read_between_redraws():
    looks = []

    def look():
        looks.append(1)
        return {"loss": 1.0}

    bar = ProgbarLogger(file=io.StringIO())
    bar.set_params({"verbose": "auto", "epochs": 1, "steps": 1000})
    bar.on_train_begin()
    bar.on_epoch_begin(0)
    for batch in range(1000):
        bar.on_train_batch_end(batch, LazyLogs(look))
    bar.on_teardown()

    assert looks == []


def test_an_unknown_number_of_epochs_is_left_out():
    file = io.StringIO()

    with Run(FakeModel(), ProgbarLogger(file=file), epochs=None, verbose=2) as run:
        for _ in run.epochs():
            run.stop("once is enough")

    assert file.getvalue().startswith("Epoch 1 - ")


X, Y = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")


def test_one_instance_shows_fit_evaluate_predict_and_fit_again():
    model = Sequential([layers.Input((2,)), layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
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


def test_starts_no_thread():
    before = threading.active_count()

    replay(ProgbarLogger(file=Terminal()), [{"loss": 0.5}], verbose=1)

    assert threading.active_count() == before


def test_the_time_of_a_validation_is_not_in_the_time_per_step():
    loop = Loop(4, now=100.0)
    loop.done, loop.last = 2, 102.0
    loop.pause()
    loop.resume(now=160.0)
    loop.done, loop.last = 3, 164.0

    assert loop.worked == 6.0
    assert loop.pace == 2.0
    assert loop.left == 2.0


def test_steps_of_the_run_that_is_resumed_took_no_time_in_this_one():
    bar = ProgbarLogger(file=io.StringIO())
    bar.set_params({"verbose": "auto", "epochs": 1, "steps": 10})
    bar.on_epoch_begin(0)

    bar.on_train_batch_end(8, {"loss": 1.0})

    assert bar._train.done == 9
    assert bar._train.pace == bar._train.worked


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0:00"), (59.6, "1:00"), (200, "3:20"), (3723, "1:02:03"), (360000, "100:00:00")],
)
def test_a_time_is_written_as_on_a_clock(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"file": "log.txt"}, TypeError, r"file must be an open text file or None, got 'log\.txt'"),
        ({"log_every": 0}, ValueError, "log_every must be a number > 0, got 0"),
        ({"timestamps": 1}, TypeError, "timestamps must be True or False, got 1"),
    ],
)
def test_a_wrong_argument_is_refused_at_once(options, error, message):
    with pytest.raises(error, match=message):
        ProgbarLogger(**options)
