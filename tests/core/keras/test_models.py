"""onstage.keras.models: a clone has the layers of its model, and weights of its own."""

import numpy as np
import pytest

from onstage import keras


class Scaled(keras.layers.Dense):
    """A custom layer."""


def model():
    return keras.Sequential(
        [keras.Input((3,)), Scaled(4, activation="relu", name="hidden"), keras.layers.Dense(2)], name="wide"
    )


def test_a_clone_has_the_same_layers_and_new_weights():
    original = model()
    clone = keras.models.clone_model(original)

    assert clone.get_config() == original.get_config()
    assert type(clone.layers[0]) is Scaled
    assert not np.array_equal(clone.get_weights()[0], original.get_weights()[0])

    x = np.ones((2, 3), "float32")
    clone.set_weights(original.get_weights())
    before = original.predict(x, verbose=0)
    np.testing.assert_array_equal(clone.predict(x, verbose=0), before)
    clone.set_weights([each * 2 for each in clone.get_weights()])
    np.testing.assert_array_equal(original.predict(x, verbose=0), before)


def test_a_clone_may_have_other_layers():
    def wider(layer):
        return type(layer)(**{**layer.get_config(), "units": layer.units + 1})

    clone = keras.models.clone_model(model(), clone_function=wider)

    assert [layer.units for layer in clone.layers] == [5, 3]


def test_a_clone_of_anything_else_is_refused():
    with pytest.raises(TypeError, match="model must be a Sequential, got object; copy a torch module"):
        keras.models.clone_model(object())
    with pytest.raises(ValueError, match="input_tensors must be None, got 1"):
        keras.models.clone_model(model(), input_tensors=1)
