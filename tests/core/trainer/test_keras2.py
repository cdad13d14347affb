"""What Keras 2 gave its callbacks beside the stages: validation data, and names in the parameters."""

import numpy as np
import pytest

from onstage import Callback, Run, Sequential, layers

X, Y = np.ones((8, 2), "float32"), np.zeros((8, 1), "float32")


class Keeps(Callback):
    def on_train_begin(self):
        self.seen = self.validation_data, dict(self.params)


@pytest.fixture
def fit():
    """Return a function that trains with a callback and the options of ``fit``."""

    def fit(callback, **options):
        model = Sequential([layers.Dense(1)])
        model.compile("sgd", "mse", metrics=["mae"])
        model.fit(X, Y, verbose=0, callbacks=[callback], **options)
        return callback

    return fit


def test_validation_data_is_what_was_passed(fit):
    data, params = fit(Keeps(), validation_data=(X[:2], Y[:2])).seen

    assert data[0].shape == (2, 2)
    assert params["metrics"] == ["loss", "mae", "val_loss", "val_mae"]
    assert params["do_validation"] is True


def test_validation_data_is_what_was_split(fit):
    data, _ = fit(Keeps(), validation_split=0.25).seen

    assert len(data[0]) == len(data[1]) == 2


def test_without_a_validation_there_is_no_data(fit):
    data, params = fit(Keeps()).seen

    assert data is None
    assert params["metrics"] == ["loss", "mae"]
    assert params["do_validation"] is False


def test_a_second_training_has_its_own_data(fit):
    callback = fit(Keeps(), validation_data=(X[:2], Y[:2]))

    assert fit(callback).seen[0] is None


def test_a_callback_keeps_data_that_it_sets_itself(fit):
    callback = Keeps()
    callback.validation_data = "its own"

    assert fit(callback, validation_split=0.5).seen[0] == "its own"


def test_a_loop_of_ones_own_has_no_validation_data():
    callback = Keeps()

    with Run(callbacks=[callback]) as run:
        list(run.epochs())

    assert callback.seen[0] is None
