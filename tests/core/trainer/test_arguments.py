"""Arguments of Keras that have no effect, and data that fit, evaluate and predict refuse."""

import numpy as np
import pytest

from onstage import Callback, Sequential, layers
from onstage.data import PyDataset
from onstage.errors import OnstageWarning

X = np.arange(24.0).reshape(12, 2)
Y = X.sum(axis=1, keepdims=True)


@pytest.fixture
def model():
    made = Sequential([layers.Dense(1)], seed=0)
    made.compile("sgd", "mse")
    return made


class Batches(PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(index * 4, index * 4 + 4)
        return X[rows] / 24, Y[rows] / 24


def test_options_of_loading_are_accepted_without_effect(model):
    options = {"workers": 4, "use_multiprocessing": True, "max_queue_size": 2}

    model.fit(X / 24, Y / 24, verbose=0, **options)

    assert model.evaluate(X, Y, verbose=0, **options) == model.evaluate(X, Y, verbose=0)
    assert np.array_equal(model.predict(X, verbose=0, **options), model(X))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": -1}, "workers must be an integer >= 0, got -1"),
        ({"use_multiprocessing": 1}, "use_multiprocessing must be True or False, got 1"),
        ({"max_queue_size": None}, "max_queue_size must be an integer >= 0, got None"),
        ({"nb_epoch": 3}, r"fit\(\) has no argument 'nb_epoch'; did you mean 'epochs'"),
    ],
)
def test_options_that_are_none_of_keras_are_refused(model, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(X, Y, verbose=0, **options)


def test_a_sequence_trains_evaluates_and_predicts_like_its_arrays(model):
    twin = Sequential([layers.Dense(1)], seed=0)
    twin.compile("sgd", "mse")

    history = model.fit(
        Batches(), batch_size=64, epochs=2, shuffle=False, verbose=0, validation_data=Batches()
    )
    expected = twin.fit(X / 24, Y / 24, 4, 2, 0, shuffle=False, validation_data=[X / 24, Y / 24])

    assert history.history == expected.history
    assert model.evaluate(Batches(), verbose=0) == twin.evaluate(X / 24, Y / 24, 4, verbose=0)
    assert np.array_equal(model.predict(Batches(), verbose=0), twin.predict(X / 24, 4, verbose=0))


def test_a_generator_that_ends_before_the_last_epoch_warns(model):
    def once():
        yield X / 24, Y / 24

    with pytest.warns(OnstageWarning, match="x ran out of data after 1 of 3 epochs; the training ends here"):
        history = model.fit(once(), epochs=3, verbose=0)

    assert history.epoch == [0]
    assert history.stop_reason == "the data has ended"


def test_a_generator_that_lasts_for_all_epochs_does_not_warn(model):
    history = model.fit(((X / 24, Y / 24) for _ in range(2)), epochs=1, verbose=0)

    assert history.epoch == [0]


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_no_data_is_refused(model, method):
    with pytest.raises(TypeError, match="x must be given, got None; pass an array, or an iterable"):
        getattr(model, method)(verbose=0)


def test_two_inputs_in_a_list_are_refused(model):
    with pytest.raises(TypeError, match=r"got a list of 2 arrays, as for a model of 2 inputs; .*TorchModel"):
        model.fit([X, X], Y, verbose=0)


def test_a_list_of_samples_is_no_list_of_inputs(model):
    model.fit(list(X / 24), list(Y / 24), verbose=0)

    assert model.input_shape == (None, 2)


class Reshuffled(Batches):
    """Shuffles its rows after each epoch."""

    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(3)
        self.rows = np.arange(12)

    def __getitem__(self, index):
        rows = self.rows[index * 4 : index * 4 + 4]
        return X[rows] / 24, Y[rows] / 24

    def on_epoch_end(self):
        self.rng.shuffle(self.rows)


class Interrupt(Callback):
    """Keeps the state in the middle of the second epoch, and ends the training there."""

    def on_train_batch_end(self, batch):
        if (self.run.epoch, batch) == (1, 1):
            self.kept = self.run.state_dict()
            raise KeyboardInterrupt


class Resume(Callback):
    def __init__(self, kept):
        self.kept = kept

    def on_train_begin(self):
        self.run.load_state_dict(self.kept)


def test_a_training_over_a_sequence_resumes_in_the_middle_of_an_epoch_to_the_bit():
    def compiled():
        made = Sequential([layers.Dense(4, "tanh"), layers.Dense(1)], seed=0)
        made.compile("adam", "mse")
        return made

    whole, resumed, interrupt = compiled(), compiled(), Interrupt()
    expected = whole.fit(Reshuffled(), epochs=4, verbose=0, seed=5)
    with pytest.raises(KeyboardInterrupt):
        compiled().fit(Reshuffled(), epochs=4, verbose=0, seed=5, callbacks=[interrupt])

    history = resumed.fit(Reshuffled(), epochs=4, verbose=0, callbacks=[Resume(interrupt.kept)])

    assert all(np.array_equal(a, b) for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True))
    assert history.history["loss"][-1] == expected.history["loss"][-1]
