"""Regularizers: penalties by hand, gradients by central differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onstage.nn import regularizers
from onstage.nn.regularizers import L1, L1L2, L2


def test_penalties_are_sums_of_magnitudes_and_of_squares():
    w = np.array([[1.0, -2.0], [3.0, 0.0]], np.float32)

    assert L1(0.5).loss(w) == pytest.approx(3.0)
    assert L2(0.5).loss(w) == pytest.approx(7.0)
    assert L1L2(l1=0.5, l2=0.1).loss(w) == pytest.approx(4.4)
    assert L1L2().loss(w) == 0.0


def test_default_factors_are_those_of_keras():
    assert (L1().l1, L2().l2, L1L2().l1, L1L2().l2) == (0.01, 0.01, 0.0, 0.0)


@given(
    l1=st.floats(0, 2),
    l2=st.floats(0, 2),
    # Away from 0, where the magnitude has no derivative.
    values=st.lists(st.floats(0.01, 5).flatmap(lambda x: st.sampled_from([x, -x])), min_size=1, max_size=6),
)
@settings(deadline=None)
def test_gradient_is_that_of_the_penalty(l1, l2, values):
    regularizer, w, grad = L1L2(l1, l2), np.array(values), np.ones(len(values))

    regularizer.add_gradient(w, grad)

    for i in range(len(w)):
        step = np.zeros(len(w))
        step[i] = 1e-5
        slope = (regularizer.loss(w + step) - regularizer.loss(w - step)) / 2e-5
        assert grad[i] == pytest.approx(1.0 + slope, abs=1e-7)


def test_gradient_of_l1_at_zero_is_zero():
    grad = np.zeros(2)

    L1(1.0).add_gradient(np.array([0.0, 3.0]), grad)

    assert grad.tolist() == [0.0, 1.0]


def test_gradient_is_added_to_every_weight_of_a_large_array():
    w, grad = np.ones((300, 100), np.float32), np.zeros((300, 100), np.float32)

    L2(0.5).add_gradient(w, grad)

    assert (grad == 1.0).all()


def test_a_gradient_that_is_not_contiguous_is_refused():
    with pytest.raises(ValueError, match="grad must be C-contiguous"):
        L2().add_gradient(np.ones((3, 2)), np.zeros((2, 3)).T)


@pytest.mark.parametrize(
    ("identifier", "kind"),
    [("l1", L1), ("L2", L2), ("l1_l2", L1L2), ("l1l2", None), (L2, L2)],
)
def test_names_are_those_of_keras(identifier, kind):
    if kind is None:
        with pytest.raises(
            ValueError, match=r"regularizer must be one of .*, got 'l1l2'; did you mean 'l1_l2'"
        ):
            regularizers.get(identifier)
    else:
        assert type(regularizers.get(identifier)) is kind


def test_get_returns_none_and_instances_unchanged():
    instance = L1(0.5)

    assert regularizers.get(None) is None
    assert regularizers.get(instance) is instance


@pytest.mark.parametrize("instance", [L1(0.5), L2(0.25), L1L2(0.5, 0.25)])
def test_configuration_rebuilds_the_same_regularizer(instance):
    again = regularizers.get({"class_name": type(instance).__name__, "config": instance.get_config()})

    assert type(again) is type(instance)
    assert (again.l1, again.l2) == (instance.l1, instance.l2)


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf")])
def test_factors_must_be_finite_and_not_negative(wrong):
    with pytest.raises(ValueError, match="l1 must be a number >= 0, got"):
        L1(wrong)


def test_an_identifier_of_another_type_is_refused():
    with pytest.raises(TypeError, match="regularizer must be a name, a configuration or an instance, got 3"):
        regularizers.get(3)
