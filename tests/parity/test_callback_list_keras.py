"""A loop that calls CallbackList fires what Keras's CallbackList fires, with the same logs."""

import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

from onstage import hookspecs  # noqa: E402  # after the backend is chosen
from onstage import keras as ours  # noqa: E402
from onstage.keras.callbacks import CallbackList  # noqa: E402
from onstage.testing import FakeModel  # noqa: E402

STAGES = [name for name in hookspecs.STAGES if name.split("_")[1] in ("train", "epoch", "test", "predict")]


def tracer(base):
    """Return a callback of either library that records every call."""

    def record(stage):
        if "batch" in stage:
            return lambda self, batch, logs=None: self.calls.append((stage, batch, dict(logs)))
        if "epoch" in stage:
            return lambda self, epoch, logs=None: self.calls.append((stage, epoch, dict(logs)))
        return lambda self, logs=None: self.calls.append((stage, None, dict(logs)))

    made = type("Tracer", (base,), {stage: record(stage) for stage in STAGES})()
    made.calls = []
    return made


def one_epoch(callbacks, epoch):
    callbacks.on_epoch_begin(epoch)
    for batch in range(2):
        callbacks.on_train_batch_begin(batch)
        callbacks.on_train_batch_end(batch, {"loss": np.float32(2 - batch), "extra": 1} if batch else None)
    callbacks.on_test_begin()
    callbacks.on_test_batch_begin(0)
    callbacks.on_test_batch_end(0, {"loss": 0.5})
    callbacks.on_test_end({"mae": 0.25})
    callbacks.on_epoch_end(epoch, {"val_mae": 0.25})


def trains(callbacks):
    callbacks.on_train_begin()
    for epoch in range(2):
        one_epoch(callbacks, epoch)
    callbacks.on_train_end({"final": 1.0})


def begins_with_logs(callbacks):
    callbacks.on_train_begin({"resumed": 1.0})
    callbacks.on_epoch_begin(3, {"rate": 0.1})
    callbacks.on_epoch_end(3)
    callbacks.on_train_end()


def predicts_in_an_epoch(callbacks):
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(0)
    callbacks.on_predict_begin()
    callbacks.on_predict_batch_begin(4)
    callbacks.on_predict_batch_end(4, {"outputs": "array"})
    callbacks.on_predict_end()
    callbacks.on_epoch_end(0, {"loss": 1.0})
    callbacks.on_train_end()


def evaluates_then_trains(callbacks):
    callbacks.on_test_begin()
    callbacks.on_test_end({"loss": 1.0})
    trains(callbacks)


@pytest.mark.parametrize("loop", [trains, begins_with_logs, predicts_in_an_epoch, evaluates_then_trains])
def test_the_same_loop_leaves_the_same_trace_and_history(loop):
    seen = []
    for callback_list, base in (
        (keras.callbacks.CallbackList, keras.callbacks.Callback),
        (CallbackList, ours.callbacks.Callback),
    ):
        model, trace = FakeModel(), tracer(base)
        loop(callback_list([trace], add_history=True, model=model, epochs=2, steps=2, verbose=0))
        seen.append((trace.calls, model.history.history, model.history.epoch))

    assert seen[1] == seen[0]


def test_an_unchanged_callback_of_keras_runs_in_the_list():
    trace = tracer(keras.callbacks.Callback)

    trains(CallbackList([trace]))

    assert [call[0] for call in trace.calls][:3] == [
        "on_train_begin",
        "on_epoch_begin",
        "on_train_batch_begin",
    ]
