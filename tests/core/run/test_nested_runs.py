"""A run inside a callback of another one: neither forgets or inherits a stop."""

import numpy as np
import pytest

from onstage import Callback, Run, Sequential, layers
from onstage.testing import FakeModel

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def make_model():
    model = Sequential([layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    return model


class Inner(Callback):
    """Stops its run, then uses the model for something else in the same stage."""

    def __init__(self, use, stops=True):
        self.use = use
        self.stops = stops

    def on_epoch_end(self, epoch):
        if self.stops:
            self.stop("enough")
        self.use(self.model)


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.fit(X, Y, epochs=1, verbose=0),
        lambda model: model.evaluate(X, Y, verbose=0),
        lambda model: model.predict(X, verbose=0),
    ],
    ids=["fit", "evaluate", "predict"],
)
def test_a_run_inside_a_callback_leaves_the_stop_of_the_run_around_it(use):
    history = make_model().fit(X, Y, epochs=5, verbose=0, callbacks=Inner(use))

    assert history.epoch == [0]
    assert history.stop_reason == "enough"


def test_a_stop_by_the_flag_alone_is_kept_too():
    class SetsFlag(Callback):
        def on_epoch_end(self, epoch):
            self.model.stop_training = True
            self.model.fit(X, Y, epochs=1, verbose=0)

    history = make_model().fit(X, Y, epochs=5, verbose=0, callbacks=SetsFlag())

    assert history.epoch == [0]
    assert history.stop_reason == "model.stop_training was set"


def test_a_stop_of_the_inner_run_does_not_stop_the_outer_one():
    class Stops(Callback):
        def on_epoch_end(self, epoch):
            self.stop("inner")

    inner = Inner(lambda model: model.fit(X, Y, epochs=3, verbose=0, callbacks=Stops()), stops=False)

    history = make_model().fit(X, Y, epochs=2, verbose=0, callbacks=inner)

    assert history.epoch == [0, 1]
    assert history.stop_reason is None


def test_a_stop_ends_with_its_run():
    model = make_model()
    model.fit(X, Y, epochs=5, verbose=0, callbacks=Inner(lambda model: None))
    assert model.stop_training

    assert model.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]
    assert not model.stop_training


def test_a_run_that_is_made_in_a_callback_and_never_opened_changes_nothing():
    class Makes(Callback):
        def on_epoch_end(self, epoch):
            self.stop("enough")
            Run(self.model)

    with Run(FakeModel(), [Makes()], epochs=3) as run:
        for _ in run.epochs():
            run.log(loss=1.0)

    assert run.history.epoch == [0]


def test_history_names_the_callbacks_that_failed_and_were_removed():
    class Fails(Callback):
        on_error = "disable"

        def on_epoch_end(self, epoch):
            raise ValueError("by design")

    with (
        pytest.warns(UserWarning, match="the training went on without: Fails"),
        pytest.warns(UserWarning, match="takes no further part"),
    ):
        history = make_model().fit(X, Y, epochs=2, verbose=0, callbacks=[Fails()])

    assert history.disabled == ["Fails"]
    assert repr(history) == "<History: 2 epochs of loss, without Fails>"
    assert make_model().fit(X, Y, epochs=1, verbose=0).disabled == []
