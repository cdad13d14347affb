"""The base class: model, params and run of a callback, and a super() for every stage."""

import numpy as np

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
