"""A typical handwritten loop: numpy, a line to fit, gradient descent."""

import numpy as np
import pytest

from onstage import ModelView

X = np.linspace(-1, 1, 24).reshape(12, 2)
Y = X @ np.array([1.5, -2.0]) + 0.5


class Line:
    """A model with weights and rate in plain attributes, and its ModelView."""

    def __init__(self, rate=0.1):
        self.weights = [np.zeros(2), np.zeros(1)]
        self.velocity = [np.zeros(2), np.zeros(1)]
        self.rate = rate

    def step(self, x, y):
        """Take one gradient step; return the loss before it."""
        errors = x @ self.weights[0] + self.weights[1] - y
        for weight, velocity, slope in zip(
            self.weights, self.velocity, (x.T @ errors, errors.sum(keepdims=True)), strict=True
        ):
            velocity *= 0.9
            velocity -= self.rate * slope / len(x)
            weight += velocity
        return float((errors**2).mean())

    def loss(self, x, y):
        return float(((x @ self.weights[0] + self.weights[1] - y) ** 2).mean())

    def set_weights(self, weights):
        self.weights = [np.array(weight) for weight in weights]

    def set_rate(self, rate):
        self.rate = rate

    def get_state(self):
        return {"weights": self.weights, "velocity": self.velocity, "rate": self.rate}

    def set_state(self, state):
        self.weights, self.velocity = (
            [np.array(each) for each in state[part]] for part in ("weights", "velocity")
        )
        self.rate = state["rate"]

    def view(self):
        return ModelView(
            get_weights=lambda: self.weights,
            set_weights=self.set_weights,
            get_learning_rate=lambda: self.rate,
            set_learning_rate=self.set_rate,
            get_state=self.get_state,
            set_state=self.set_state,
        )


@pytest.fixture
def line():
    return Line()


@pytest.fixture(scope="session")
def new_line():
    return Line


@pytest.fixture(scope="session")
def batches():
    """Three batches of 4 samples."""
    return [(X[i : i + 4], Y[i : i + 4]) for i in range(0, 12, 4)]
