"""Every way out of a handwritten loop ends the run in order."""

import gc
import signal

import pytest

from onstage import Callback, Run
from onstage.callbacks import EarlyStopping


class Closes(Callback):
    """Records each begin, end, error and teardown."""

    def __init__(self):
        self.seen = []

    def on_train_begin(self):
        self.seen.append("train begin")

    def on_epoch_end(self, epoch):
        self.seen.append(f"epoch {epoch} end")

    def on_train_end(self):
        self.seen.append("train end")

    def on_exception(self, exception):
        self.seen.append(type(exception).__name__)

    def on_teardown(self):
        self.seen.append("teardown")


def test_break_from_the_batches_ends_the_epoch(line, batches):
    closes = Closes()
    with Run(callbacks=[closes], epochs=2) as run:
        for _ in run.epochs():
            for x, y in run.batches(batches):
                run.log(loss=line.step(x, y))
                break

    assert closes.seen == ["train begin", "epoch 0 end", "epoch 1 end", "train end", "teardown"]
    assert len(run.history.history["loss"]) == 2


def test_break_from_the_epochs_ends_the_training(line, batches):
    closes = Closes()
    with Run(callbacks=[closes], epochs=9) as run:
        for epoch in run.epochs():
            for x, y in run.batches(batches):
                run.log(loss=line.step(x, y))
            if epoch == 1:
                break

    assert closes.seen == ["train begin", "epoch 0 end", "epoch 1 end", "train end", "teardown"]


def test_return_from_the_batches_ends_epoch_and_training(line, batches):
    closes = Closes()

    def train_one_batch(run):
        with run:
            for _ in run.epochs():
                for x, y in run.batches(batches):
                    run.log(loss=line.step(x, y))
                    return

    run = Run(callbacks=[closes], epochs=9)
    train_one_batch(run)

    assert closes.seen == ["train begin", "epoch 0 end", "train end", "teardown"]
    assert len(run.history.history["loss"]) == 1


def test_a_batch_without_logged_values_is_left_out_of_the_means(batches):
    with Run(epochs=1) as run:
        for _ in run.epochs():
            for number, _ in enumerate(run.batches(batches)):
                if number == 1:
                    continue
                run.log(loss=float(number))

    assert run.history.history["loss"] == [1.0]  # of 0 and 2


@pytest.mark.parametrize("error", [ValueError, MemoryError, SystemExit, KeyboardInterrupt])
def test_an_error_is_raised_unchanged_and_fires_no_end(error, line, batches):
    closes = Closes()
    with pytest.raises(error), Run(callbacks=[closes], epochs=2) as run:
        for _ in run.epochs():
            for x, y in run.batches(batches):
                run.log(loss=line.step(x, y))
                raise error

    assert closes.seen == ["train begin", error.__name__, "teardown"]


@pytest.fixture
def ctrl_c():
    """Let Ctrl-C raise KeyboardInterrupt, also in a background job, where it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_is_handled_like_any_error(line, batches, ctrl_c):
    closes = Closes()
    with pytest.raises(KeyboardInterrupt), Run(callbacks=[closes], epochs=2) as run:
        for _ in run.epochs():
            for x, y in run.batches(batches):
                run.log(loss=line.step(x, y))
                signal.raise_signal(signal.SIGINT)

    assert closes.seen == ["train begin", "KeyboardInterrupt", "teardown"]


@pytest.mark.parametrize(
    ("stage", "ran"), [("on_train_begin", 1), ("on_train_batch_end", 1), ("on_epoch_end", 3)]
)
def test_a_stop_in_any_stage_fires_all_ends_in_order(stage, ran, line, batches):
    closes = Closes()
    steps = []
    stops = type("Stops", (Callback,), {stage: lambda self: self.stop("enough")})()
    with Run(callbacks=[stops, closes], epochs=9) as run:
        for _ in run.epochs():
            for x, y in run.batches(batches):
                steps.append(line.step(x, y))
                run.log(loss=steps[-1])

    assert len(steps) == ran
    assert closes.seen == ["train begin", "epoch 0 end", "train end", "teardown"]
    assert (run.history.stop_reason, run.history.stopped_by) == ("enough", "Stops")


def test_steps_are_a_loop_without_epochs(line, batches):
    closes = Closes()
    with Run(line.view(), [closes, EarlyStopping("loss")]) as run:
        for x, y in run.steps(batches * 5):
            run.log(loss=line.step(x, y))

    assert closes.seen == ["train begin", "epoch 0 end", "train end", "teardown"]
    assert len(run.history.history["loss"]) == 1


def test_an_abandoned_run_raises_a_resource_warning():
    run = Run(callbacks=[Closes()])
    run.__enter__()
    iter(run.epochs())

    with pytest.warns(ResourceWarning, match="use it in a with statement"):
        del run
        gc.collect()
