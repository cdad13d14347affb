"""The base class: model, params and run of a callback, and a super() for every stage."""

import numpy as np
import pytest

from onstage import Callback, Run, Sequential, layers

X = np.ones((4, 2), "float32")
Y = np.ones((4, 1), "float32")


def test_an_evaluation_inside_a_stage_leaves_the_callback_in_its_training():
    class Evaluates(Callback):
        def on_epoch_end(self, epoch, logs=None):
            run, params = self.run, self.params
            self.model.evaluate(X, Y, verbose=0, callbacks=[self])
            self.kept = self.run is run and self.params is params
            if epoch == 1:
                self.stop("enough")

    callback = Evaluates()
    model = Sequential([layers.Dense(1)])
    model.compile("sgd", loss="mse")
    history = model.fit(X, Y, epochs=4, verbose=0, callbacks=[callback])

    assert callback.kept
    assert (history.stopped_by, history.stop_reason) == ("Evaluates", "enough")


@pytest.mark.parametrize("first", [0, 1])
def test_a_callback_takes_part_in_one_training_at_a_time(first):
    class Counts(Callback):
        epochs = teardowns = 0

        def on_epoch_end(self, epoch, logs=None):
            self.epochs += 1

        def on_teardown(self):
            self.teardowns += 1

    callback = Counts()
    runs = [Run(callbacks=[callback], epochs=2) for _ in range(2)]
    with runs[0], runs[1]:
        epochs = runs[first].epochs()
        with pytest.raises(RuntimeError, match=r"Counts already takes part in a run; make one object"):
            runs[1 - first].epochs()
        assert callback.run is runs[first]
        assert list(epochs) == [0, 1]
        assert (callback.epochs, callback.teardowns) == (2, 0)

    with Run(callbacks=[callback]) as third:
        list(third.epochs())

    assert (callback.epochs, callback.teardowns, callback.run) == (3, 2, None)


def test_a_callback_has_no_run_after_its_run_but_keeps_its_model():
    callback, model = Callback(), object()

    with Run(model, callbacks=[callback]) as run:
        assert callback.run is run

    assert callback.run is None
    assert callback.model is model


def test_a_stop_by_hand_after_a_run_asks_the_model():
    class Model:
        stop_training = False

    callback = Callback()
    with Run(Model(), callbacks=[callback]):
        pass
    callback.stop("by hand")

    assert callback.model.stop_training


def test_the_longer_name_of_a_batch_stage_calls_the_shorter_one():
    calls = []

    class Short(Callback):
        def on_batch_begin(self, batch, logs=None):
            calls.append(("begin", batch, logs))

        def on_batch_end(self, batch, logs=None):
            calls.append(("end", batch, logs))

    class Both(Short):
        def on_train_batch_begin(self, batch, logs=None):
            super().on_train_batch_begin(batch, logs=logs)

        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs=logs)

    with Run(callbacks=[Both()]) as run:
        for _ in run.epochs():
            for _ in run.batches([1.0]):
                run.log(loss=2.0)

    assert calls == [("begin", 0, {}), ("end", 0, {"loss": 2.0})]
