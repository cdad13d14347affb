"""Layers frozen or unfrozen after compile(): effective from the next step."""

import copy
from itertools import pairwise

import numpy as np
import pytest

from onstage import Callback, Sequential, layers, losses, optimizers
from onstage.nn.sequential import load_model

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3))
Y = RNG.normal(size=(24, 2))


def network(optimizer="sgd", trainable=(True, True), **options):
    model = Sequential(
        [
            layers.Input((3,)),
            layers.Dense(4, "tanh", trainable=trainable[0], **options),
            layers.Dense(2, trainable=trainable[1], **options),
        ],
        seed=1,
        dtype="float64",
    )
    model.compile(optimizer, "mse")
    return model


def fit(model, epochs=1, **options):
    return model.fit(X, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0, **options).history


def changed(before, after):
    return [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]


def test_a_layer_frozen_after_compile_does_not_change():
    model = network("adam")
    fit(model)
    before = model.get_weights()

    model.layers[0].trainable = False
    fit(model)

    assert changed(before, model.get_weights()) == [False, False, True, True]


def test_a_layer_unfrozen_after_compile_is_trained():
    model = network("adam", trainable=(False, True))
    before = model.get_weights()
    fit(model)
    assert changed(before, model.get_weights()) == [False, False, True, True]

    model.layers[0].trainable = True
    fit(model)

    assert changed(before, model.get_weights()) == [True] * 4


def test_freezing_a_model_freezes_its_layers_and_counts_no_steps():
    model = network("adam")
    before = model.get_weights()

    model.trainable = False
    fit(model)

    assert changed(before, model.get_weights()) == [False] * 4
    assert model.optimizer.iterations == 0
    assert not model.trainable
    assert model.trainable_weights == []


def test_a_callback_can_freeze_a_layer_in_mid_epoch():
    model, snapshots = network(), []

    class FreezeAfterFirst(Callback):
        def on_train_batch_begin(self, batch):
            snapshots.append(model.get_weights())
            model.layers[0].trainable = batch < 1

    fit(model, callbacks=[FreezeAfterFirst()])

    snapshots.append(model.get_weights())
    steps = pairwise(snapshots)
    assert [changed(*step)[0] for step in steps] == [True, False, False]


def test_slots_of_a_variable_survive_a_freeze():
    # Momentum alone: with a rate of 0 each step moves the weights by the remaining velocity.
    model = network(optimizers.SGD(0.1, momentum=0.5))
    fit(model)
    velocity = model.optimizer.state_dict()["slots"]["velocity"]
    model.layers[0].trainable = False
    model.learning_rate = 0.0
    fit(model)

    after = model.optimizer.state_dict()["slots"]["velocity"]

    first = slice(0, 16)
    np.testing.assert_array_equal(after[first], velocity[first])
    np.testing.assert_allclose(after[16:], velocity[16:] / 8)  # three steps
    assert model.optimizer.iterations == 6


def test_penalties_of_frozen_layers_are_not_in_the_loss():
    plain = network()
    model = network(kernel_regularizer="l2")
    model.set_weights(plain.get_weights())
    plain_loss = plain.evaluate(X, Y, verbose=0)
    of_last = 0.01 * float((model.get_weights()[2] ** 2).sum())

    model.layers[0].trainable = False

    assert model.evaluate(X, Y, verbose=0) == pytest.approx(plain_loss + of_last)
    logs = fit(model, validation_data=(X, Y))
    of_last = 0.01 * float((model.get_weights()[2] ** 2).sum())
    plain.set_weights(model.get_weights())
    assert logs["val_loss"] == [pytest.approx(plain.evaluate(X, Y, verbose=0) + of_last)]


def test_the_global_norm_excludes_gradients_of_frozen_layers():
    model = network(optimizers.SGD(1.0, global_clipnorm=1e-3), trainable=(False, True))
    before = model.get_weights()

    model.train_on_batch(X, Y)

    moved = [(a - b).ravel() for a, b in zip(before, model.get_weights(), strict=True)]
    assert np.linalg.norm(np.concatenate(moved)) == pytest.approx(1e-3)


def test_the_average_of_a_frozen_layer_is_updated_without_changing_the_layer():
    model = network(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2))
    fit(model)
    before = model.get_weights()
    model.layers[0].trainable = False

    fit(model)

    assert changed(before, model.get_weights()) == [False, False, True, True]
    average = model.optimizer.ema_average
    np.testing.assert_array_equal(average[16:], model.parameters[16:])  # the training has ended


def test_a_frozen_batch_normalization_works_as_in_inference():
    model = Sequential([layers.Input((3,)), layers.BatchNormalization(center=False, scale=False)])
    model.compile("sgd", losses.MeanSquaredError())
    model.train_on_batch(X, X)
    before = model.get_weights()

    model.layers[0].trainable = False
    loss = model.train_on_batch(X, X)

    assert changed(before, model.get_weights()) == [False, False]
    assert loss == pytest.approx(model.test_on_batch(X, X))


@pytest.mark.parametrize("frozen_then", [False, True])
@pytest.mark.parametrize("frozen_now", [False, True])
def test_a_state_can_be_restored_whichever_layers_are_frozen(frozen_then, frozen_now):
    model = network("adam")
    fit(model)
    model.layers[0].trainable = not frozen_then
    fit(model)
    other = network("adam")
    other.layers[0].trainable = not frozen_now

    other.load_state_dict(model.state_dict())

    model.layers[0].trainable = not frozen_now
    for each in (model, other):
        fit(each)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_file_and_a_copy_keep_layers_frozen(tmp_path):
    model = network("adam")
    fit(model)
    model.layers[0].trainable = False
    model.save(tmp_path / "model")

    loaded, copied = load_model(tmp_path / "model"), copy.deepcopy(model)

    before = model.get_weights()
    for each in (model, loaded, copied):
        fit(each)
        assert changed(before, each.get_weights()) == [False, False, True, True]
    for other in (loaded, copied):
        for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_compiling_with_the_optimizer_of_the_model_keeps_its_state():
    model = network("adam")
    fit(model)
    model.layers[0].trainable = False

    model.compile(model.optimizer, "mae")

    assert model.optimizer.iterations == 3
    before = model.get_weights()
    fit(model)
    assert changed(before, model.get_weights()) == [False, False, True, True]


def test_an_optimizer_that_another_model_was_compiled_with_since_is_refused():
    optimizer = optimizers.SGD(0.1)
    model, other = network(optimizer), network(optimizer)

    fit(other)

    with pytest.raises(
        ValueError, match="optimizer sgd must belong to this model alone, but another model was"
    ):
        fit(model)


def test_a_trainable_flag_that_is_not_a_bool_is_refused():
    with pytest.raises(TypeError, match="trainable must be True or False, got 'no'"):
        network().layers[0].trainable = "no"
