"""Metrics against Keras's, over random batches."""

import os

import numpy as np
import pytest

from onstage.nn import metrics

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")
# Raised by Keras when it converts a torch tensor to numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CLASSES = 6
BATCHES = (16, 16, 5)


def binary(rng, n):
    return rng.integers(0, 2, n).astype(np.float32), rng.random((n, 1), np.float32)


def binary_columns(rng, n):
    y_true, y_pred = binary(rng, n)
    return y_true[:, None], y_pred


def several_labels(rng, n):
    return rng.integers(0, 2, (n, CLASSES)).astype(np.float32), rng.random((n, CLASSES), np.float32)


def sparse(rng, n):
    return rng.integers(0, CLASSES, n), softmax(rng.standard_normal((n, CLASSES), np.float32))


def sparse_columns(rng, n):
    y_true, y_pred = sparse(rng, n)
    return y_true[:, None], y_pred


def sparse_steps(rng, n):
    return rng.integers(0, CLASSES, (n, 3)), softmax(rng.standard_normal((n, 3, CLASSES), np.float32))


def one_hot(rng, n):
    y_true, y_pred = sparse(rng, n)
    return np.eye(CLASSES, dtype=np.float32)[y_true], y_pred


def one_hot_steps(rng, n):
    y_true, y_pred = sparse_steps(rng, n)
    return np.eye(CLASSES, dtype=np.float32)[y_true], y_pred


def real(rng, n):
    return rng.standard_normal((n, 3), np.float32), rng.standard_normal((n, 3), np.float32)


def equal_or_not(rng, n):
    return rng.integers(0, 3, (n, 2)), rng.integers(0, 3, (n, 2)).astype(np.float32)


def logits(rng, n):
    return rng.integers(0, 2, n).astype(np.float32), 3 * rng.standard_normal((n, 1), np.float32)


def round_scores(rng, n):
    """Outputs of which many are exactly on a threshold, 0 or 1."""
    return rng.integers(0, 2, n).astype(np.float32), rng.integers(0, 11, (n, 1)).astype(np.float32) / 10


def softmax(values):
    exp = np.exp(values)
    return exp / exp.sum(-1, keepdims=True)


CASES = [
    ("Accuracy", {}, equal_or_not),
    ("BinaryAccuracy", {}, binary),
    ("BinaryAccuracy", {}, binary_columns),
    ("BinaryAccuracy", {"threshold": 0.3}, several_labels),
    ("BinaryAccuracy", {"threshold": 0.3}, round_scores),
    ("CategoricalAccuracy", {}, one_hot),
    ("CategoricalAccuracy", {}, one_hot_steps),
    ("SparseCategoricalAccuracy", {}, sparse),
    ("SparseCategoricalAccuracy", {}, sparse_columns),
    ("SparseCategoricalAccuracy", {}, sparse_steps),
    ("TopKCategoricalAccuracy", {"k": 2}, one_hot),
    ("TopKCategoricalAccuracy", {"k": 3}, one_hot_steps),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, sparse),
    ("SparseTopKCategoricalAccuracy", {}, sparse_steps),
    ("MeanSquaredError", {}, real),
    ("MeanSquaredError", {}, binary),
    ("MeanAbsoluteError", {}, real),
    ("RootMeanSquaredError", {}, real),
    ("MeanAbsolutePercentageError", {}, real),
    ("MeanSquaredLogarithmicError", {}, several_labels),
    ("LogCoshError", {}, real),
    ("Poisson", {}, several_labels),
    ("KLDivergence", {}, one_hot),
    ("CosineSimilarity", {}, real),
    ("CosineSimilarity", {}, one_hot_steps),
    ("Hinge", {}, several_labels),
    ("SquaredHinge", {}, several_labels),
    ("CategoricalHinge", {}, one_hot),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, several_labels),
    ("CategoricalCrossentropy", {}, one_hot),
    ("SparseCategoricalCrossentropy", {}, sparse),
    ("R2Score", {}, real),
    ("R2Score", {"class_aggregation": "variance_weighted_average"}, real),
    ("Precision", {}, binary),
    ("Precision", {"thresholds": 0.7}, several_labels),
    ("Precision", {"class_id": 2, "thresholds": 0.2}, one_hot),
    ("Precision", {"top_k": 2}, one_hot),
    ("Precision", {"top_k": 2, "class_id": 1}, one_hot),
    ("Precision", {"top_k": 3, "thresholds": 0.2}, one_hot),
    ("Recall", {}, binary_columns),
    ("Recall", {"thresholds": 0.7}, several_labels),
    ("Recall", {"class_id": 2, "thresholds": 0.2}, one_hot),
    ("Recall", {"top_k": 2}, one_hot),
    ("F1Score", {"average": "macro"}, one_hot),
    ("F1Score", {"average": "micro"}, one_hot),
    ("F1Score", {"average": "weighted"}, one_hot),
    ("F1Score", {"average": "macro", "threshold": 0.4}, several_labels),
    *(
        ("AUC", {"curve": curve, "summation_method": method, **more}, data)
        for curve in ("ROC", "PR")
        for method in ("interpolation", "minoring", "majoring")
        for more, data in [
            ({}, binary),
            ({"num_thresholds": 11}, round_scores),
            ({"thresholds": [0.5, 0.13, 0.77]}, several_labels),
        ]
    ),
    ("AUC", {"from_logits": True}, logits),
    ("AUC", {}, one_hot),
]


@pytest.mark.parametrize(("name", "options", "data"), CASES, ids=lambda x: getattr(x, "__name__", str(x)))
@pytest.mark.parametrize("weighted", [False, True])
def test_running_results_equal_those_of_keras(name, options, data, weighted):
    rng = np.random.default_rng(11)
    ours, theirs = getattr(metrics, name)(**options), getattr(keras.metrics, name)(**options)
    state = None

    for n in BATCHES:
        y_true, y_pred = data(rng, n)
        weight = rng.random(n, np.float32) if weighted else None
        if state is None:
            ours.build(y_pred.shape)
            state = ours.new_state()
        ours.update(state, y_true, y_pred, weight)
        theirs.update_state(y_true, y_pred, weight)

        assert ours.result(state) == pytest.approx(float(theirs.result()), rel=2e-6, abs=1e-7)


@pytest.mark.parametrize("name", sorted({name for name, _, _ in CASES}))
def test_names_and_directions_equal_those_of_keras(name):
    ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()

    assert {"min": "down", "max": "up"}[ours.direction] == theirs._direction
    # Keras numbers metrics without an explicit name: auc, auc_1.
    assert theirs.name.rstrip("_0123456789") in (ours.name, ours.name.rstrip("_0123456789"))


@pytest.mark.parametrize("data", [binary, binary_columns, sparse, sparse_columns, sparse_steps, one_hot])
def test_accuracy_is_resolved_as_in_keras(data):
    from keras.src.trainers.compile_utils import get_metric

    y_true, y_pred = data(np.random.default_rng(0), 4)

    ours = metrics.get("acc", output_shape=y_pred.shape, target_shape=y_true.shape)
    theirs = get_metric("acc", y_true, y_pred)

    assert type(ours).__name__ == type(theirs).__name__
    assert ours.name == theirs.name == "acc"


LOSSES = [
    ("binary_crossentropy", "BinaryCrossentropy", binary_columns),
    ("categorical_crossentropy", "CategoricalCrossentropy", one_hot),
    ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy", sparse),
    ("hinge", "Hinge", real),
    ("mean_absolute_error", "MeanAbsoluteError", real),
]


@pytest.mark.parametrize(("name", "theirs", "data"), LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_as_metrics_equal_those_of_keras(name, theirs, data, weighted):
    rng = np.random.default_rng(1)
    ours, theirs = metrics.get(name), getattr(keras.metrics, theirs)()
    state = ours.new_state()

    for n in BATCHES:
        y_true, y_pred = data(rng, n)
        weight = rng.random(n, np.float32) if weighted else None
        ours.update(state, y_true, y_pred, weight)
        theirs.update_state(y_true, y_pred, weight)

    assert ours.result(state) == pytest.approx(float(theirs.result()), rel=2e-6)
