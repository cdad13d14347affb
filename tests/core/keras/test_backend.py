"""The backend functions read and set the variables that callbacks get."""

import numpy as np
import pytest

from onstage.keras import backend as K
from onstage.keras import layers, models, optimizers


def test_a_learning_rate_is_read_and_set_in_place():
    optimizer = optimizers.SGD(0.1)

    K.set_value(optimizer.lr, 0.05)
    K.set_value(optimizer.learning_rate, K.get_value(optimizer.learning_rate) / 2)

    assert K.get_value(optimizer.lr) == 0.025
    assert float(K.eval(optimizer.learning_rate)) == 0.025


def test_the_weights_of_a_layer_are_read_and_set_in_place():
    model = models.Sequential([layers.Input((2,)), layers.Dense(1)])
    kernel, bias = model.layers[0].weights

    before = K.get_value(kernel)
    K.batch_set_value([(kernel, [[1.0], [2.0]]), (bias, [3.0])])

    assert [values.tolist() for values in K.batch_get_value([kernel, bias])] == [[[1.0], [2.0]], [3.0]]
    assert model.predict([[1.0, 1.0]], verbose=0).tolist() == [[6.0]]
    assert not np.array_equal(before, kernel.value)
    assert K.int_shape(kernel) == (2, 1)


def test_an_array_is_set_in_place_and_any_other_value_is_returned_as_it_is():
    array = np.zeros(2)

    K.set_value(array, [1.0, 2.0])

    assert array.tolist() == [1.0, 2.0]
    assert K.get_value(array) is array
    assert K.get_value(0.9) == 0.9


def test_a_tensor_of_torch_is_read_and_set_in_place():
    torch = pytest.importorskip("torch")
    weight = torch.nn.Parameter(torch.zeros(2))

    K.set_value(weight, [1.0, 2.0])

    assert K.get_value(weight).tolist() == [1.0, 2.0]
    assert weight.requires_grad


def test_a_number_that_cannot_be_set_in_place_is_refused_with_the_remedy():
    with pytest.raises(TypeError, match=r"must get a variable, .* got 0\.9; set the attribute"):
        K.set_value(0.9, 0.8)


def test_the_precision_is_fixed_and_another_one_is_refused():
    K.set_floatx("float32")
    K.clear_session()

    assert (K.backend(), K.floatx(), K.epsilon(), K.image_data_format()) == (
        "numpy",
        "float32",
        1e-7,
        "channels_last",
    )
    assert K.cast_to_floatx([1]).dtype == np.float32
    with pytest.raises(ValueError, match=r"floatx must be 'float32', got 'float16'; pass dtype="):
        K.set_floatx("float16")
