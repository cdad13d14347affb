"""A backend may offer more than `Model`: each extra is a protocol that it satisfies."""

import pytest

from onstage import Model, ModelView, Sequential, layers
from onstage.model import SupportsGradients, SupportsSnapshot, SupportsStopAgreement, SupportsWeightsView
from onstage.testing import FakeModel


def compiled():
    model = Sequential([layers.Input((1,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("protocol", [Model, SupportsGradients, SupportsSnapshot, SupportsWeightsView])
def test_the_numpy_model_satisfies_the_protocols(protocol):
    assert isinstance(compiled(), protocol)


@pytest.mark.parametrize("protocol", [Model, SupportsGradients, SupportsSnapshot])
def test_the_fake_model_satisfies_the_protocols(protocol):
    assert isinstance(FakeModel(), protocol)


def test_a_view_satisfies_the_protocols_of_the_functions_that_it_has():
    readable = ModelView(get_weights=list)

    assert isinstance(readable, SupportsSnapshot)
    assert isinstance(readable, SupportsWeightsView)
    assert not isinstance(readable, SupportsGradients)
    assert not isinstance(ModelView(), SupportsSnapshot)


def test_only_models_of_several_processes_agree_on_a_stop():
    assert not isinstance(compiled(), SupportsStopAgreement)
