import math

import numpy as np
import pytest
from onstage_terminate_on_nan import TerminateOnNaN

from onstage import Run, Sequential, layers, optimizers
from onstage.testing import check_callback, replay


def run_batches(*losses, epochs=1):
    return replay(TerminateOnNaN(), [{"loss": 0.0}] * epochs, batches=[{"loss": loss} for loss in losses])


def test_behaves_as_every_callback_must():
    check_callback(TerminateOnNaN)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_stops_at_the_batch_whose_loss_is_not_finite(bad):
    result = run_batches(1.0, bad, 1.0, epochs=2)

    assert result.stopped_by == "TerminateOnNaN"
    assert result.stop_reason == f"loss was {bad} in epoch 1, batch 1"
    assert result.epochs_run == 1
    assert sum(event.stage == "on_train_batch_end" for event in result.trace) == 2


def test_prints_the_message_of_keras(capsys):
    run_batches(1.0, math.nan)

    assert capsys.readouterr().out == "Batch 1: Invalid loss, terminating training\n"


def test_raises_with_raise_error():
    with pytest.raises(
        RuntimeError, match=r"NaN or Inf loss encountered at batch 0\. Loss value: nan\. Terminating"
    ):
        replay(TerminateOnNaN(raise_error=True), [{"loss": math.nan}])


def test_a_finite_loss_does_not_stop():
    assert not run_batches(1.0, 1e38, -5.0).stopped


def test_other_values_may_be_nan():
    assert not replay(TerminateOnNaN(), [{"loss": 1.0, "val_loss": math.nan, "auc": math.nan}]).stopped


@pytest.fixture
def model():
    return compiled(
        layers.Dense(2, name="low", kernel_initializer="ones"),
        layers.Dense(2, name="middle", kernel_initializer="ones"),
        layers.Dense(1, name="top", kernel_initializer="ones"),
    )


def compiled(*stack, learning_rate=0.01):
    model = Sequential([layers.Input((1,)), *stack], seed=0)
    model.compile(optimizers.SGD(learning_rate), "mse")
    return model


X, Y = np.ones((4, 1), "float32"), np.ones((4, 1), "float32")


def test_names_the_layer_whose_weights_turned_non_finite_and_the_batch(model):
    class Poisons:
        def on_batch_end(self, batch):
            if batch == 1:
                model.layers[1].weights[0].value[0, 0] = np.nan

    history = model.fit(X, Y, batch_size=1, verbose=0, callbacks=[Poisons(), TerminateOnNaN()])

    # The poisoned weight makes the loss of the next batch a NaN.
    assert history.stop_reason == (
        "loss was nan in epoch 1, batch 2; weights of layer 'middle' turned non-finite first, in batch 1"
    )


def test_of_several_layers_in_one_batch_it_names_the_one_nearest_to_the_output(model):
    y = Y.copy()
    y[2] = np.inf

    history = model.fit(X, y, batch_size=1, shuffle=False, verbose=0, callbacks=[TerminateOnNaN()])

    assert history.stop_reason == (
        "loss was inf in epoch 1, batch 2; weights of layer 'top' turned non-finite first, in batch 2"
    )


def test_weights_that_become_finite_again_are_forgotten():
    class Layer:
        name = "odd"
        weights = ()

    class Variable:
        value = gradient = np.array([np.nan])

    class Model:
        layers = (Layer(),)

    callback = TerminateOnNaN()
    callback.set_model(Model())
    callback.on_train_begin()
    Layer.weights = (Variable(),)
    callback.on_batch_end(0, {"loss": 1.0})
    Layer.weights = ()
    callback.on_batch_end(1, {"loss": 1.0})
    callback.raise_error = True

    with pytest.raises(RuntimeError, match=r"Loss value: nan\. Terminating"):
        callback.on_batch_end(2, {"loss": math.nan})


def test_values_whose_sum_overflows_are_finite():
    model = compiled(layers.Dense(2, name="low", kernel_initializer="zeros"))
    model.layers[0].weights[0].value[...] = 3e38
    callback = TerminateOnNaN(raise_error=True)
    callback.set_model(model)
    callback.on_train_begin()

    with pytest.raises(RuntimeError, match=r"Loss value: nan\. Terminating"):
        callback.on_batch_end(0, {"loss": math.nan})


def test_works_in_a_loop_without_a_model():
    with Run(callbacks=[TerminateOnNaN()], epochs=3) as run:
        for _ in run.epochs():
            for value in run.batches([1.0, math.nan, 2.0]):
                run.log(loss=value)

    assert run.stop_reason == "loss was nan in epoch 1, batch 1"


def test_works_with_a_model_whose_layers_are_a_number():
    callback = TerminateOnNaN()
    callback.set_model(type("Model", (), {"layers": 12, "stop_training": False})())
    callback.on_train_begin()

    callback.on_batch_end(0, {"loss": math.nan})

    assert callback.model.stop_training


def test_an_invalid_argument_is_refused_at_once():
    with pytest.raises(TypeError, match="raise_error must be True or False, got 'yes'"):
        TerminateOnNaN("yes")
