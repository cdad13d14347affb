"""begin and end fire the same stages as the loops of a Run."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage import Callback, Interrupted, Run
from onstage.callbacks import EarlyStopping
from onstage.testing import FakeModel, Recorder


def pulled(epochs, batches, validation):
    recorder = Recorder()
    with Run(callbacks=[recorder], epochs=epochs) as run:
        for epoch in run.epochs():
            for batch in run.batches(range(batches)):
                run.log(loss=10 * epoch + batch, samples=batch + 1)
            for batch in run.test_batches(range(validation)):
                run.log(loss=batch, samples=1)
    return recorder, run.history.history


def pushed(epochs, batches, validation, *, begins_all=True):
    recorder = Recorder()
    run = Run(callbacks=[recorder], epochs=epochs).open()
    run.begin("train")
    for epoch in range(epochs):
        run.begin("epoch", epoch)
        for batch in range(batches):
            run.begin("train_batch", batch if begins_all else None)
            run.end("train_batch", {"loss": 10 * epoch + batch}, samples=batch + 1)
        if begins_all:
            run.begin("test")
        for _ in range(validation):
            run.begin("test_batch")
            run.end("test_batch", {"loss": _}, samples=1)
        if begins_all:
            run.end("test")
        run.end("epoch")
    run.close()
    return recorder, run.history.history


@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2))
def test_begin_and_end_fire_the_trace_of_the_loops(epochs, batches, validation):
    by_loop, by_host = pulled(epochs, batches, validation), pushed(epochs, batches, validation)

    assert by_host[0].trace == by_loop[0].trace
    assert by_host[0].logs == by_loop[0].logs
    assert by_host[1] == by_loop[1]


def test_beginning_a_stage_opens_enclosing_stages_and_closes_others():
    recorder = Recorder()
    run = Run(callbacks=[recorder], epochs=2).open()

    run.begin("train_batch")  # opens training and epoch
    run.begin("test_batch")  # closes the training batch, opens the validation
    run.begin("train_batch")  # closes the validation
    run.begin("epoch")  # closes batch and epoch
    run.close()

    assert recorder.stages == [
        *("on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end"),
        *("on_test_begin", "on_test_batch_begin", "on_test_batch_end", "on_test_end"),
        *("on_train_batch_begin", "on_train_batch_end", "on_epoch_end"),
        *("on_epoch_begin", "on_epoch_end", "on_train_end", "on_teardown"),
    ]
    assert [event.number for event in recorder.trace if event.stage == "on_train_batch_begin"] == [0, 1]
    assert [event.number for event in recorder.trace if event.stage == "on_epoch_begin"] == [0, 1]


def test_logs_passed_to_end_replace_the_averages():
    seen = []

    class Adds(Callback):
        def on_epoch_end(self, logs):
            seen.append(dict(logs))
            logs["added"] = 7.0

    run = Run(callbacks=[Adds()], epochs=1).open()
    run.begin("train_batch")
    run.end("train_batch", {"loss": 4.0}, samples=2)
    run.begin("train_batch")
    run.end("train_batch", {"loss": 3.0}, running=True)
    run.begin("test")
    run.end("test", {"loss": 0.5})
    run.end("epoch", {"lr": 0.1})

    assert seen == [{"loss": 3.0, "val_loss": 0.5, "lr": 0.1}]
    assert run.epoch_logs == {"loss": 3.0, "val_loss": 0.5, "lr": 0.1, "added": 7.0}
    run.close()


def test_end_returns_false_when_a_callback_asks_to_stop():
    run = Run(FakeModel(), [EarlyStopping("loss", patience=1)], epochs=9).open()
    go_on = []
    for loss in (1.0, 0.5, 0.7):
        run.begin("epoch")
        go_on.append(run.end("epoch", {"loss": loss}))
    run.close()

    assert go_on == [True, True, False]
    assert run.history.stopped_by == "EarlyStopping"


def test_an_evaluation_and_a_prediction_can_be_pushed_without_a_training():
    recorder = Recorder()
    run = Run(callbacks=[recorder]).open()
    run.begin("test_batch")
    run.end("test_batch", {"loss": 1.0})
    run.end("test")
    run.begin("predict_batch")
    run.end("predict_batch", {"outputs": [1, 2]})
    run.close()

    assert recorder.stages == [
        *("on_test_begin", "on_test_batch_begin", "on_test_batch_end", "on_test_end"),
        *("on_predict_begin", "on_predict_batch_begin", "on_predict_batch_end", "on_predict_end"),
        "on_teardown",
    ]
    assert run.test_logs == {"loss": 1.0}
    assert recorder.trace[5].keys == ()
    assert recorder.trace[6].keys == ("outputs",)


def test_closing_with_an_error_fires_no_end_stage():
    recorder, error = Recorder(), ValueError("the host fails")
    run = Run(callbacks=[recorder], epochs=1).open()
    run.begin("train_batch")

    run.close(error)
    run.close()  # closed already

    assert recorder.stages[-3:] == ["on_train_batch_begin", "on_exception", "on_teardown"]


def test_a_signal_is_raised_at_the_end_of_the_batch():
    class Heeds(Callback):
        def on_train_begin(self):
            self.run.stop_on_signal(signal.SIGUSR1)

    received = []
    before = signal.signal(signal.SIGUSR1, lambda *_: received.append("by the program"))
    recorder = Recorder()
    run = Run(callbacks=[Heeds(), recorder], epochs=1).open()
    run.begin("train_batch")
    signal.raise_signal(signal.SIGUSR1)
    try:
        with pytest.raises(Interrupted) as caught:
            run.end("train_batch")
        run.close(caught.value)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert recorder.stages[-3:] == ["on_train_batch_end", "on_exception", "on_teardown"]
    assert received == ["by the program"]


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda run: run.begin("epochs"), ValueError, "stage must be one of .* did you mean 'epoch'"),
        (lambda run: run.end("train_batch"), RuntimeError, r"run.end\('train_batch'\) must come after"),
        (lambda run: run.end("epoch"), RuntimeError, r"run.end\('epoch'\) must come after"),
        (lambda run: run.end("train"), RuntimeError, r"run.end\('train'\) must come after"),
        (lambda run: run.end("predict"), RuntimeError, r"run.end\('predict'\) must come after"),
    ],
)
def test_a_stage_that_is_unknown_or_not_open_is_refused(use, error, message):
    with Run(callbacks=[]) as run, pytest.raises(error, match=message):
        use(run)


def test_a_run_that_is_not_open_is_refused():
    run = Run(callbacks=[])

    with pytest.raises(RuntimeError, match=r"a Run must be open: .* or call run.open\(\)"):
        run.begin("train")
    run.open()
    with pytest.raises(RuntimeError, match="a Run must be opened once"):
        run.open()
    run.close()
    with pytest.raises(RuntimeError, match="a Run must be open"):
        run.begin("train")


def test_a_pushed_training_is_resumed_where_its_state_was_taken():
    class Counts(Callback):
        def __init__(self):
            self.count = 0

        def on_train_batch_end(self):
            self.count += 1

        def state_dict(self):
            return {"count": self.count}

        def load_state_dict(self, state):
            self.count = state["count"]

    first = Counts()
    run = Run(FakeModel(), [first], epochs=2).open()
    run.begin("train_batch", 0)
    run.end("train_batch", {"loss": 3.0}, samples=1)
    state = run.state_dict(model=False)
    run.close(RuntimeError("killed"))

    second = Counts()
    resumed = Run(FakeModel(), [second], epochs=2).open()
    resumed.load_state_dict(state)
    resumed.begin("epoch", 0)
    resumed.begin("train_batch")
    assert resumed.batch == 1
    resumed.end("train_batch", {"loss": 1.0}, samples=1)
    resumed.end("epoch")
    resumed.close()

    assert state["model"] is None
    assert second.count == 2
    assert resumed.history.history == {"loss": [2.0]}


def test_an_epoch_whose_validation_was_saved_ends_with_its_metrics():
    run = Run(FakeModel(), [], epochs=2).open()
    run.begin("train_batch", 0)
    run.end("train_batch", {"loss": 3.0}, samples=1)
    run.begin("test")
    run.end("test", {"loss": 4.0})
    assert run.epoch_open
    assert not run.batch_open
    state = run.state_dict(model=False)
    run.close(RuntimeError("killed"))

    resumed = Run(FakeModel(), [], epochs=2).open()
    resumed.load_state_dict(state)
    resumed.begin("epoch", 0)
    resumed.end("epoch")
    resumed.begin("train_batch", 0)
    resumed.end("train_batch", {"loss": 1.0}, samples=1)
    resumed.end("epoch")
    resumed.close()

    assert resumed.history.history == {"loss": [3.0, 1.0], "val_loss": [4.0]}
