"""SwapEMAWeights evaluates and ends with the same weights as Keras's."""

import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

from onstage_swap_ema_weights import SwapEMAWeights  # noqa: E402  # after the backend is chosen

from onstage import Sequential, layers, optimizers  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3)).astype("float32")
Y = RNG.normal(size=(24, 1)).astype("float32")
KERNELS = [RNG.normal(size=shape).astype("float32") for shape in ((3, 4), (4,), (4, 1), (1,))]


class Onstage:
    Sequential, layers, optimizers = Sequential, layers, optimizers


class StopsAfterTwo:
    """Stops after two epochs, as a Keras callback or as one of ours."""

    @staticmethod
    def of(base):
        class Stops(base):
            def on_epoch_end(self, epoch, logs=None):
                if epoch == 1:
                    self.model.stop_training = True

            def set_model(self, model):
                super().set_model(model) if base is not object else setattr(self, "model", model)

        return Stops()


def fit_model(library, *callbacks):
    inside = library.layers
    model = library.Sequential([inside.Input((3,)), inside.Dense(4, activation="tanh"), inside.Dense(1)])
    model.compile(library.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8), loss="mse")
    model.set_weights(KERNELS)
    history = model.fit(
        X,
        Y,
        batch_size=8,
        epochs=3,
        validation_split=0.5,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )
    return model, history.history


def assert_same(ours, theirs):
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their, atol=1e-5)


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_the_same_validation_losses_and_final_weights(swap_on_epoch):
    our_model, ours = fit_model(Onstage, SwapEMAWeights(swap_on_epoch))
    their_model, theirs = fit_model(keras, keras.callbacks.SwapEMAWeights(swap_on_epoch))

    np.testing.assert_allclose(ours["val_loss"], theirs["val_loss"], atol=1e-5)
    assert_same(our_model.get_weights(), their_model.get_weights())


def test_validation_uses_the_average_in_both():
    _, swapped = fit_model(Onstage, SwapEMAWeights())
    _, plain = fit_model(Onstage)

    assert not np.allclose(swapped["val_loss"][:-1], plain["val_loss"][:-1], atol=1e-3)


def test_deliberate_difference_an_early_stop_ends_with_the_average_too():
    our_model, _ = fit_model(Onstage, SwapEMAWeights(swap_on_epoch=True), StopsAfterTwo.of(object))
    plain, _ = fit_model(keras, StopsAfterTwo.of(keras.callbacks.Callback))
    their_model, _ = fit_model(
        keras,
        keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
        StopsAfterTwo.of(keras.callbacks.Callback),
    )

    # Without the callback Keras ends with the average, with it with the last weights.
    assert_same(our_model.get_weights(), plain.get_weights())
    assert not np.allclose(their_model.get_weights()[0], plain.get_weights()[0], atol=1e-4)


def test_deliberate_difference_a_prediction_restores_the_weights():
    for library, callback, gives_back in (
        (Onstage, SwapEMAWeights(), True),
        (keras, keras.callbacks.SwapEMAWeights(), False),
    ):
        model, _ = fit_model(library)
        own = [np.asarray(weight) + 1 for weight in model.get_weights()]
        model.set_weights(own)

        model.predict(X, verbose=0, callbacks=[callback])

        assert np.allclose(model.get_weights()[0], own[0]) is gives_back
