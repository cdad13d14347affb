"""Losses against formulas written out in numpy, and torch's own functions."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onstage_torch.losses import Loss  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

RNG = np.random.default_rng(5)
LOGITS = RNG.normal(size=(9, 4))
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
CLASSES = np.arange(9) % 4
ONE_HOT = np.eye(4)[CLASSES]
VALUES = RNG.normal(size=(9, 4))
BITS = (RNG.random((9, 1)) > 0.5).astype(float)
CHANCES = RNG.random((9, 1)) * 0.98 + 0.01
WEIGHTS = RNG.random(9)


def t(array):
    return torch.from_numpy(np.asarray(array))


def huber(error):
    return np.where(np.abs(error) <= 1, error**2 / 2, np.abs(error) - 0.5)


CASES = {
    "mse": (VALUES, LOGITS, ((LOGITS - VALUES) ** 2).mean(1)),
    "mean_squared_error": (VALUES, LOGITS, ((LOGITS - VALUES) ** 2).mean(1)),
    "mae": (VALUES, LOGITS, np.abs(LOGITS - VALUES).mean(1)),
    "huber": (VALUES, 3 * LOGITS, huber(3 * LOGITS - VALUES).mean(1)),
    "hinge": (ONE_HOT, LOGITS, np.maximum(1 - (2 * ONE_HOT - 1) * LOGITS, 0).mean(1)),
    "binary_crossentropy": (
        BITS,
        CHANCES,
        -(BITS * np.log(CHANCES) + (1 - BITS) * np.log(1 - CHANCES)).mean(1),
    ),
    "categorical_crossentropy": (ONE_HOT, PROBABILITIES, -np.log(PROBABILITIES[np.arange(9), CLASSES])),
    "sparse_categorical_crossentropy": (
        CLASSES,
        PROBABILITIES,
        -np.log(PROBABILITIES[np.arange(9), CLASSES]),
    ),
    "cross_entropy": (CLASSES, LOGITS, -np.log(PROBABILITIES[np.arange(9), CLASSES])),
    "nll_loss": (CLASSES, np.log(PROBABILITIES), -np.log(PROBABILITIES[np.arange(9), CLASSES])),
}


@pytest.mark.parametrize("name", CASES)
def test_each_name_is_the_mean_of_its_formula(name):
    targets, outputs, expected = CASES[name]

    assert Loss(name)(t(outputs), t(targets)).item() == pytest.approx(expected.mean(), rel=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_weights_multiply_each_samples_loss_and_n_is_the_divisor(name):
    targets, outputs, expected = CASES[name]

    value = Loss(name)(t(outputs), t(targets), t(WEIGHTS)).item()

    assert value == pytest.approx((expected * WEIGHTS).sum() / 9, rel=1e-6)


@pytest.mark.parametrize("given", [nn.CrossEntropyLoss(), F.cross_entropy, "cross_entropy"])
def test_a_torch_loss_takes_weights_as_object_function_and_name(given):
    targets, outputs, expected = CASES["cross_entropy"]

    assert Loss(given)(t(outputs), t(targets), t(WEIGHTS)).item() == pytest.approx(
        (expected * WEIGHTS).sum() / 9, rel=1e-6
    )


def test_a_vector_of_targets_fits_a_column_of_outputs():
    column = Loss("mse")(t(CHANCES), t(BITS[:, 0]))

    assert column.item() == pytest.approx(((CHANCES - BITS) ** 2).mean())


def test_the_gradient_of_clipped_probabilities_is_that_of_keras():
    p = t(np.array([[0.0, 1.0]])).requires_grad_()

    Loss("sparse_categorical_crossentropy")(p, t([0])).backward()

    assert p.grad.tolist() == [[0.0, 0.0]]  # clipped values have no slope


@pytest.mark.parametrize(
    ("given", "outputs", "targets", "message"),
    [
        ("mse", VALUES, VALUES[:, :2], r"y must have the shape of the outputs, \(9, 4\), got \(9, 2\)"),
        ("sparse_categorical_crossentropy", PROBABILITIES, ONE_HOT, "use 'categorical_crossentropy'"),
    ],
)
def test_targets_of_another_shape_are_never_broadcast(given, outputs, targets, message):
    with pytest.raises(ValueError, match=message):
        Loss(given)(t(outputs), t(targets))


@pytest.mark.parametrize("name", ["categorical_crossentropy", "binary_crossentropy"])
def test_logits_in_place_of_probabilities_are_rejected_with_the_remedy(name):
    loss = Loss(name)

    with pytest.raises(ValueError, match=r"must be probabilities for this loss, got -.* use 'cross_entropy'"):
        loss.check(t(LOGITS), t(ONE_HOT))
    loss.check(t(PROBABILITIES), t(ONE_HOT))


@pytest.mark.parametrize("given", ["cross_entropy", nn.CrossEntropyLoss(), "sparse_categorical_crossentropy"])
def test_a_class_beyond_the_outputs_is_rejected(given):
    with pytest.raises(ValueError, match=r"y must hold class numbers in \[0, 4\) .*, got 4"):
        Loss(given).check(t(PROBABILITIES), t(CLASSES + 1))


def test_the_ignored_class_is_accepted():
    targets = t(np.where(CLASSES == 0, -100, CLASSES))

    Loss(nn.CrossEntropyLoss()).check(t(LOGITS), targets)
    with pytest.raises(ValueError, match="got -100"):
        Loss(nn.CrossEntropyLoss(ignore_index=-1)).check(t(LOGITS), targets)


def test_weights_need_a_loss_of_one_value_a_sample():
    def mean(outputs, targets):
        return ((outputs - targets) ** 2).mean()

    loss = Loss(mean)

    assert loss(t(VALUES), t(LOGITS)).item() == pytest.approx(((VALUES - LOGITS) ** 2).mean())
    with pytest.raises(ValueError, match=r"one value for each of the 9 samples .* got shape \(\)"):
        loss(t(VALUES), t(LOGITS), t(WEIGHTS))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("cross_entropi", ValueError, "did you mean 'cross_entropy'"),
        (nn.MSELoss, TypeError, "loss must be a torch loss"),
        (3, TypeError, "loss must be a torch loss, a function of .* or a name, got 3"),
    ],
)
def test_a_value_that_is_not_a_loss_is_rejected(given, error, message):
    with pytest.raises(error, match=message):
        Loss(given)


def test_a_loss_that_does_not_return_a_tensor_is_rejected():
    with pytest.raises(TypeError, match="loss must return a tensor, got float"):
        Loss(lambda outputs, targets: 1.0)(t(VALUES), t(VALUES))


@pytest.mark.parametrize("compute", [Loss.__call__, lambda *given: Loss.with_divisor(*given, 9)])
def test_a_single_weight_is_never_broadcast_over_a_batch(compute):
    with pytest.raises(ValueError, match="one value for each of the 1 samples to be weighted"):
        compute(Loss("cross_entropy"), t(LOGITS), t(CLASSES), t(WEIGHTS[:1]))
