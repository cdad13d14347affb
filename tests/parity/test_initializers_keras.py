"""Initializers against Keras's: limits, moments, orthogonality."""

import os

import numpy as np
import pytest

from onstage.nn import initializers, regularizers

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")
# Raised by Keras when it converts a torch tensor to numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SHAPES = [(200, 150), (3, 3, 60, 80), (40, 30, 25), (30000,)]

NAMES = [
    *("glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal"),
    *("random_normal", "random_uniform", "truncated_normal", "variance_scaling"),
]


def keras_values(initializer, shape):
    return np.asarray(keras.ops.convert_to_numpy(initializer(shape)), np.float64)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_distributions_equal_those_of_keras(name, shape):
    keras.utils.set_random_seed(0)
    ours = initializers.get(name)(shape, np.random.default_rng(0), np.float64).ravel()
    theirs = keras_values(keras.initializers.get(name), shape).ravel()

    deviation = theirs.std()
    assert ours.std() == pytest.approx(deviation, rel=0.02)
    assert ours.mean() == pytest.approx(theirs.mean(), abs=0.03 * deviation)
    for share in (0.02, 0.25, 0.75, 0.98):
        assert np.quantile(ours, share) == pytest.approx(np.quantile(theirs, share), abs=0.05 * deviation)
    if name != "random_normal":  # the only one without limits
        assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=0.01)


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform"])
def test_variance_scaling_equals_that_of_keras(mode, distribution):
    keras.utils.set_random_seed(0)
    arguments = {"scale": 0.7, "mode": mode, "distribution": distribution}

    ours = initializers.VarianceScaling(**arguments)((3, 3, 60, 80), np.random.default_rng(0))
    theirs = keras_values(keras.initializers.VarianceScaling(**arguments), (3, 3, 60, 80))

    assert ours.std() == pytest.approx(theirs.std(), rel=0.02)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 3, 4), (4, 4)])
def test_orthogonal_matrices_have_the_gram_matrix_of_keras(shape):
    ours = initializers.Orthogonal(1.5)(shape, np.random.default_rng(0), np.float64)
    theirs = keras_values(keras.initializers.Orthogonal(1.5), shape)

    def gram(values):
        matrix = values.reshape(-1, shape[-1])
        return matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T

    assert gram(ours) == pytest.approx(gram(theirs), abs=1e-5)


def test_constants_and_defaults_equal_those_of_keras():
    for name in (*NAMES, "zeros", "ones", "orthogonal"):
        ours = initializers.get(name).get_config()
        theirs = keras.initializers.get(name).get_config()

        for key in ours.keys() - {"seed"}:
            assert ours[key] == theirs[key], f"{name}: {key}"


@pytest.mark.parametrize(
    ("name", "arguments"), [("L1", {"l1": 0.3}), ("L2", {"l2": 0.2}), ("L1L2", {"l1": 0.1, "l2": 0.4})]
)
def test_penalties_and_their_gradients_equal_those_of_keras(name, arguments):
    import torch

    w = np.random.default_rng(0).standard_normal((40, 30)).astype(np.float32)
    ours, theirs = getattr(regularizers, name)(**arguments), getattr(keras.regularizers, name)(**arguments)
    grad, tensor = np.zeros_like(w), torch.tensor(w, requires_grad=True)

    ours.add_gradient(w, grad)
    penalty = theirs(tensor)
    penalty.backward()

    assert ours.loss(w) == pytest.approx(float(penalty.detach()), rel=1e-6)
    np.testing.assert_allclose(grad, tensor.grad.numpy(), rtol=1e-6, atol=1e-7)
