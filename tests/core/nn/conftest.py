import numpy as np
import pytest

from onstage.nn.layers import Layer
from onstage.nn.optimizers import SGD
from onstage.nn.sequential import Sequential


class Shift(Layer):
    """Adds a trainable array to each batch; its gradient is that of the next layer's input."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch

    def build(self, input_shape):
        self.offset = self.add_weight((self.batch, *input_shape[1:]), "zeros", name="offset")

    def compute_output_shape(self, input_shape):
        return input_shape

    def forward(self, x, training):
        return x + self.offset.value

    def backward(self, gradient):
        self.offset.gradient[...] = gradient
        return gradient


def largest_gradient_error(layers, loss, x, y, sample_weight=None, randomize=True):
    """Compare the gradient of every weight with central differences, in float64.

    Gradients are read from a step of plain SGD with a rate of 1, losses from
    steps with a rate of 0, all through the public training API.
    """
    model = Sequential([Shift(len(x)), *layers], seed=0, dtype="float64")
    model.compile(SGD(1.0), loss)
    model.build((None, *x.shape[1:]))
    rng = np.random.default_rng(1)
    start = model.get_weights()
    if randomize:
        start = [w + 0.3 * rng.uniform(-1, 1, w.shape) for w in start]

    def step(weights, rate):
        model.set_weights(weights)
        model.learning_rate = rate
        model.reseed(7)  # so dropout drops the same values each time
        return model.train_on_batch(x, y, sample_weight)

    step(start, 1.0)
    gradients = [before - after for before, after in zip(start, model.get_weights(), strict=True)]
    trained = [any(each is v for v in model.trainable_weights) for each in model.weights]
    worst = 0.0
    for index, gradient in enumerate(gradients):
        if not trained[index]:
            continue
        for place in np.ndindex(gradient.shape):
            ends = []
            for sign in (1, -1):
                moved = [w.copy() for w in start]
                moved[index][place] += sign * 1e-6
                ends.append(step(moved, 0.0))
            estimate = (ends[0] - ends[1]) / 2e-6
            worst = max(worst, abs(estimate - gradient[place]) / max(1.0, abs(estimate)))
    return worst


@pytest.fixture
def gradient_error():
    return largest_gradient_error
