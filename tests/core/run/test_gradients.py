"""on_optimizer_step_begin receives live gradients between backward and update."""

import pickle

import numpy as np
import pytest

from onstage import Callback, Run, Sequential, layers
from onstage.testing import FakeModel


class Sees(Callback):
    def __init__(self, change=None):
        self.seen, self.change = [], change

    def on_optimizer_step_begin(self, batch, gradients):
        self.seen.append((batch, [each.copy() for each in gradients]))
        if self.change is not None:
            for each in gradients:
                each[...] = self.change(each)


def linear():
    model = Sequential([layers.Input((2,)), layers.Dense(3, "tanh"), layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    return model


X = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def test_gradients_are_those_of_the_update_in_the_order_of_the_trainable_weights():
    model, sees = linear(), Sees()
    before = model.get_weights()

    model.fit(X, Y, batch_size=8, callbacks=[sees], verbose=0)

    ((batch, gradients),) = sees.seen
    assert batch == 0
    for old, gradient, new in zip(before, gradients, model.get_weights(), strict=True):
        np.testing.assert_allclose(new, old - 0.01 * gradient, rtol=1e-5, atol=1e-7)


def test_a_change_in_place_changes_the_update():
    model = linear()
    before = model.get_weights()

    model.fit(X, Y, callbacks=[Sees(change=lambda each: 0)], verbose=0)

    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_frozen_layers_have_no_gradient_in_the_list():
    model, sees = linear(), Sees()
    model.layers[0].trainable = False

    model.fit(X, Y, callbacks=[sees], verbose=0)

    assert [each.shape for each in sees.seen[0][1]] == [(3, 1), (1,)]


def test_the_model_drops_the_callbacks_after_the_training():
    model, sees = linear(), Sees()
    model.fit(X, Y, callbacks=[sees], verbose=0)

    model.fit(X, Y, verbose=0)

    assert len(sees.seen) == 1


def test_a_model_can_be_pickled_during_training():
    class Copies(Callback):
        def on_epoch_end(self):
            self.copy = pickle.loads(pickle.dumps(self.model))

    model, copies = linear(), Copies()

    model.fit(X, Y, callbacks=[Sees(), copies], verbose=0)

    np.testing.assert_array_equal(copies.copy.predict(X, verbose=0), model.predict(X, verbose=0))


def test_a_callback_registered_during_training_receives_gradients_from_the_next_epoch():
    late = Sees()

    class Registers(Callback):
        def on_train_batch_end(self):
            if not self.run.bus.is_registered(late):
                self.run.bus.register(late)

    linear().fit(X, Y, batch_size=4, epochs=2, callbacks=[Registers()], verbose=0)

    assert [batch for batch, _ in late.seen] == [0, 1]


def test_an_error_in_on_optimizer_step_begin_names_the_callback():
    class Fails(Callback):
        def on_optimizer_step_begin(self):
            raise ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        linear().fit(X, Y, callbacks=[Fails()], verbose=0)

    assert caught.value.__notes__ == ["raised by callback Fails in on_optimizer_step_begin, epoch 1, batch 0"]


def test_a_loop_without_gradients_is_refused_when_training_begins():
    with Run(callbacks=[Sees()]) as run:
        with pytest.raises(TypeError, match="Sees acts in on_optimizer_step_begin and needs the gradients"):
            run.epochs()
        for _ in run.test_batches([1.0]):  # an evaluation has no steps
            run.log(loss=1.0)


def test_the_fake_model_supports_gradients():
    model, sees = FakeModel(), Sees(change=lambda each: -2)

    model.fit(np.ones((2, 2)), np.ones((2, 1)), batch_size=1, callbacks=[sees], verbose=0)

    assert [each.tolist() for each in model.get_weights()] == [[[4.0], [4.0]], [4.0]]
