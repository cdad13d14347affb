"""Mode "auto" infers from a metric's name the direction that Keras takes from its class."""

import inspect
import os

import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

from onstage.callbacks.monitor import Monitor  # noqa: E402  # after the backend is chosen

ARGUMENTS = {
    "MeanIoU": (2,),
    "OneHotMeanIoU": (2,),
    "IoU": (2, [0]),
    "OneHotIoU": (2, [0]),
    "SensitivityAtSpecificity": (0.5,),
    "SpecificityAtSensitivity": (0.5,),
    "PrecisionAtRecall": (0.5,),
    "RecallAtPrecision": (0.5,),
    "MeanMetricWrapper": (lambda y_true, y_pred: y_pred,),
}
DIRECTIONS = {"up": "max", "down": "min"}
METRICS = [
    name
    for name, kind in inspect.getmembers(keras.metrics, inspect.isclass)
    if hasattr(kind(*ARGUMENTS.get(name, ())), "_direction")
]


@pytest.mark.parametrize("name", METRICS)
def test_the_direction_of_each_keras_metric_is_inferred_from_its_name(name):
    metric = getattr(keras.metrics, name)(*ARGUMENTS.get(name, ()))

    assert Monitor(f"val_{metric.name}").direction_for(None) == DIRECTIONS[metric._direction]


def test_keras_has_many_metrics_with_a_direction():
    assert len(METRICS) > 30
