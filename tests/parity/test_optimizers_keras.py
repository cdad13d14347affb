"""Optimizers and schedules against Keras's, step by step."""

import os

import numpy as np
import pytest

from onstage.nn import optimizers, schedules

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")
# Raised by Keras when it converts a torch tensor to numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SHAPES = [(7, 5), (5,), (3, 3, 2, 4), (1,)]
STEPS = 25

OPTIONS = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}],
    "RMSprop": [
        {},
        {"momentum": 0.8},
        {"centered": True},
        {"centered": True, "momentum": 0.5, "rho": 0.95},
        {"epsilon": 1e-3},
    ],
    "Adam": [{}, {"amsgrad": True}, {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-4}],
    "AdamW": [{}, {"weight_decay": 0.1}],
    "Adagrad": [{}, {"initial_accumulator_value": 0.0, "epsilon": 1e-3}],
}
COMMON = [
    {"weight_decay": 0.05},
    {"clipnorm": 0.7},
    {"clipvalue": 0.3},
    {"global_clipnorm": 1.5},
    {"use_ema": True, "ema_momentum": 0.9},
    {"use_ema": True, "ema_overwrite_frequency": 4},
    {"learning_rate": 0.1},
]
CASES = [(name, options) for name, each in OPTIONS.items() for options in each + COMMON]


def slices_of(shapes):
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [slice(int(end - np.prod(shape)), int(end)) for shape, end in zip(shapes, ends, strict=True)]


class Pair:
    """Our optimizer and Keras's, on the same variables and gradients."""

    def __init__(self, name, ours, theirs, seed=0):
        self.rng = np.random.default_rng(seed)
        self.slices = slices_of(SHAPES)
        self.weights = self.rng.standard_normal(self.slices[-1].stop).astype(np.float32)
        self.gradients = np.empty_like(self.weights)
        self.variables = [
            keras.Variable(self.weights[part].reshape(shape))
            for part, shape in zip(self.slices, SHAPES, strict=True)
        ]
        self.ours = getattr(optimizers, name)(**ours)
        self.ours.build(self.weights, self.slices)
        self.theirs = getattr(keras.optimizers, name)(**theirs)
        self.theirs.build(self.variables)

    def step(self):
        # Gradients of very different magnitudes per variable.
        for part, scale in zip(self.slices, (1.0, 0.01, 3.0, 0.3), strict=True):
            self.gradients[part] = scale * self.rng.standard_normal(part.stop - part.start)
        copies = [
            keras.ops.convert_to_tensor(self.gradients[part].reshape(shape).copy())
            for part, shape in zip(self.slices, SHAPES, strict=True)
        ]
        self.theirs.apply(copies, self.variables)
        self.ours.apply(self.gradients)

    def keras_weights(self):
        return flat(self.variables)


def flat(variables):
    return np.concatenate([keras.ops.convert_to_numpy(each.value).ravel() for each in variables])


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda value: str(value))
def test_every_step_equals_that_of_keras(name, options):
    pair = Pair(name, options, options)

    for _ in range(STEPS):
        pair.step()

        np.testing.assert_allclose(pair.weights, pair.keras_weights(), rtol=1e-6, atol=1e-6)

    assert pair.ours.iterations == int(pair.theirs.iterations) == STEPS
    if pair.ours.use_ema:
        average = flat(pair.theirs._model_variables_moving_average)
        np.testing.assert_allclose(pair.ours.ema_average, average, rtol=1e-6, atol=1e-6)


def test_defaults_equal_those_of_keras():
    for name in OPTIONS:
        ours = getattr(optimizers, name)().get_config()
        theirs = getattr(keras.optimizers, name)().get_config()

        for key in ours.keys() - {"name"}:
            # Keras keeps its learning rate in float32.
            expected = pytest.approx(theirs[key], rel=1e-7) if key == "learning_rate" else theirs[key]
            assert ours[key] == expected, f"{name}: {key}"


def test_weights_end_as_their_average_like_in_keras():
    pair = Pair("Adam", {"use_ema": True, "ema_momentum": 0.5}, {"use_ema": True, "ema_momentum": 0.5})
    for _ in range(STEPS):
        pair.step()

    pair.ours.finalize()
    pair.theirs.finalize_variable_values(pair.variables)

    np.testing.assert_allclose(pair.weights, pair.keras_weights(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", list(OPTIONS))
def test_steps_under_a_schedule_equal_those_of_keras(name):
    arguments = {"initial_learning_rate": 0.05, "decay_steps": 10, "decay_rate": 0.5}
    ours = schedules.ExponentialDecay(**arguments)
    theirs = keras.optimizers.schedules.ExponentialDecay(**arguments)
    pair = Pair(name, {"learning_rate": ours}, {"learning_rate": theirs})

    for _ in range(STEPS):
        pair.step()

    np.testing.assert_allclose(pair.weights, pair.keras_weights(), rtol=1e-6, atol=1e-6)
    assert pair.ours.learning_rate == pytest.approx(float(pair.theirs.learning_rate), rel=1e-6)


SCHEDULES = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.9}),
    (
        "ExponentialDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.9, "staircase": True},
    ),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 50}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 50, "alpha": 0.2}),
    (
        "CosineDecay",
        {"initial_learning_rate": 0.01, "decay_steps": 50, "warmup_target": 0.2, "warmup_steps": 20},
    ),
    (
        "CosineDecay",
        {
            "initial_learning_rate": 0.5,
            "decay_steps": 9,
            "alpha": 0.1,
            "warmup_target": 0.3,
            "warmup_steps": 0,
        },
    ),
    ("PiecewiseConstantDecay", {"boundaries": [10, 30], "values": [1.0, 0.5, 0.1]}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 20}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "power": 2.5}),
    (
        "PolynomialDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 20, "end_learning_rate": 0.01, "cycle": True},
    ),
]


@pytest.mark.parametrize(("name", "arguments"), SCHEDULES, ids=lambda value: str(value))
def test_schedules_return_the_rates_of_keras(name, arguments):
    ours = getattr(schedules, name)(**arguments)
    theirs = getattr(keras.optimizers.schedules, name)(**arguments)

    for step in [*range(100), 1000, 123456]:
        # Keras computes in float32; a cosine near pi is off by 1e-7 of the initial rate.
        assert ours(step) == pytest.approx(float(theirs(step)), rel=2e-6, abs=2e-8), step


def test_schedules_have_the_configuration_of_keras():
    for name, arguments in SCHEDULES:
        theirs = getattr(keras.optimizers.schedules, name)(**arguments).get_config()

        assert getattr(schedules, name)(**arguments).get_config() == theirs


@pytest.mark.parametrize(
    ("name", "options", "number", "values"),
    [
        ("SGD", {"momentum": 0.9}, "momentum", (0.5, 0.95)),
        ("SGD", {"momentum": 0.9, "nesterov": True}, "momentum", (0.5, 0.95)),
        ("RMSprop", {"momentum": 0.5, "centered": True}, "rho", (0.5, 0.95)),
        ("RMSprop", {"momentum": 0.5}, "momentum", (0.9, 0.1)),
        ("Adam", {"amsgrad": True}, "beta_1", (0.5, 0.95)),
        ("Adam", {}, "beta_2", (0.9, 0.99)),
        ("AdamW", {}, "epsilon", (1e-3, 1e-5)),
        ("Adagrad", {}, "epsilon", (1e-3, 1e-5)),
    ],
)
def test_numbers_set_between_steps_have_the_effect_that_they_have_in_keras(name, options, number, values):
    pair = Pair(name, options, options)

    for step in range(STEPS):
        if step % 3 == 2:
            for optimizer in (pair.ours, pair.theirs):
                setattr(optimizer, number, values[step % 2])
        pair.step()

        np.testing.assert_allclose(pair.weights, pair.keras_weights(), rtol=1e-5, atol=1e-5)
