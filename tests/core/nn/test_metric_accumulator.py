import numpy as np
import pytest

from onstage.errors import StateError
from onstage.nn import losses, metrics
from onstage.nn.execution.metric_accumulator import NamedMetric, NumpyMetricAccumulator
from onstage.nn.layers import Activation, Dense
from onstage.nn.metrics import AUC, MeanAbsoluteError, SparseCategoricalAccuracy
from onstage.nn.optimizers import SGD
from onstage.nn.sequential import Sequential, load_model


def model(metrics=("mae",), weighted_metrics=None):
    """Model with y_pred = x: weights are 1, and a rate of 0 keeps them."""
    made = Sequential([Dense(1, kernel_initializer="ones")], dtype="float64")
    made.compile(SGD(0.0), "mse", list(metrics), weighted_metrics=weighted_metrics)
    made.build((None, 1))
    return made


def column(*values):
    return np.array(values, float)[:, None]


def test_logs_are_means_over_samples_not_over_batches():
    m = model()
    accumulator = m.new_accumulator()

    m.train_step((column(1, 2, 3), column(0, 0, 0), None), accumulator)
    m.train_step((column(6), column(0), None), accumulator)

    assert accumulator.logs() == {"loss": (1 + 4 + 9 + 36) / 4, "mae": (1 + 2 + 3 + 6) / 4}
    assert accumulator.batch_logs() == {"loss": 36.0, "mae": 6.0}


def test_logs_are_a_snapshot_even_if_read_later():
    m = model()
    accumulator = m.new_accumulator()
    m.test_step((column(2), column(0), None), accumulator)

    logs = accumulator.logs()
    m.test_step((column(4), column(0), None), accumulator)

    assert logs == {"loss": 4.0, "mae": 2.0}
    assert all(type(value) is float for value in logs.values())


def test_sample_weights_affect_only_the_loss_and_weighted_metrics():
    m = model(["mae"], ["mae", "mse"])
    accumulator = m.new_accumulator()

    m.test_step((column(1, 3), column(0, 0), np.array([1.0, 0.5])), accumulator)

    # The loss is divided by the number of samples, metrics by the sum of weights.
    assert accumulator.logs() == {
        "loss": (1 + 4.5) / 2,
        "mae": 2.0,
        "weighted_mae": (1 + 1.5) / 1.5,
        "mse": (1 + 4.5) / 1.5,
    }


def test_metrics_of_the_same_name_are_numbered():
    def difference(y, p):
        return np.abs(y - p)[:, 0]

    m = model(["mae", "mae", difference, MeanAbsoluteError(name="loss")], ["mae", "mae"])

    assert m.metrics_names == [
        "loss",
        "mae",
        "mae_1",
        "difference",
        "loss_1",
        "weighted_mae",
        "weighted_mae_1",
    ]


def test_instances_without_a_name_are_numbered_across_both_lists():
    # Keras's names: it numbers instances of recall and AUC, not of the mean squared error.
    given = [metrics.Recall(), metrics.MeanSquaredError()], [metrics.Recall(), metrics.MeanSquaredError()]

    m = model(*given)

    names = ["recall", "mean_squared_error", "recall_1", "weighted_mean_squared_error"]
    assert m.metrics_names == ["loss", *names]
    assert model(*given).metrics_names == ["loss", *names]  # each model numbers on its own


def test_a_saved_model_keeps_the_names_of_its_metrics(tmp_path):
    m = model([metrics.Recall()], [metrics.Recall(), metrics.AUC(name="area")])
    m.save(tmp_path / "model")

    assert load_model(tmp_path / "model").metrics_names == ["loss", "recall", "recall_1", "area"]


CERTAIN = np.array([[-60.0, 0.0], [3.0, 50.0]])
"""Logits whose softmax loss of class 0 is 60 and 47."""


@pytest.mark.parametrize(
    ("loss", "last", "y", "expected"),
    [
        ("sparse_categorical_crossentropy", "softmax", np.array([1, 0]), (0 + 47) / 2),
        ("categorical_crossentropy", "softmax", np.array([[1.0, 0.0], [1.0, 0.0]]), (60 + 47) / 2),
        ("binary_crossentropy", "sigmoid", np.array([[1.0, 0.5], [0.0, 0.0]]), None),
    ],
)
def test_a_crossentropy_metric_is_computed_on_logits_like_the_loss(loss, last, y, expected):
    made = Sequential([Activation(last)], dtype="float64")
    same = losses.get(loss)
    by_shape = loss if last == "sigmoid" else "crossentropy"
    made.compile(
        "sgd", loss, [loss, by_shape, same], weighted_metrics=[loss, metrics.LossMetric(loss, "own")]
    )

    logs = made.test_on_batch(CERTAIN, y, return_dict=True)
    of_training = made.train_on_batch(CERTAIN, y, return_dict=True)

    if expected is None:
        # log(1 + exp(z)) - z y for each element.
        expected = np.mean([60.0, np.log(2.0), 3 + np.log1p(np.exp(-3.0)), 50.0])
    assert len(logs) == 6
    assert logs == of_training
    assert list(logs.values()) == [pytest.approx(expected, rel=1e-12)] * 6


def test_a_crossentropy_without_its_activation_clips_probabilities():
    made = Sequential([Activation("relu")], dtype="float64")
    made.compile("sgd", "binary_crossentropy", ["binary_crossentropy"])

    logs = made.test_on_batch(np.array([[-1.0], [1.0]]), np.array([[1.0], [0.0]]), return_dict=True)

    assert list(logs.values()) == [pytest.approx(-np.log(1e-7))] * 2


def test_metric_directions_map_each_metric_to_min_max_or_none():
    def mine(y, p):
        return np.abs(y - p)[:, 0]

    m = model(["mae", "accuracy", AUC(), mine])

    assert m.metric_directions() == {
        "loss": "min",
        "mae": "min",
        "accuracy": "max",
        "auc": "max",
        "mine": None,
    }


@pytest.mark.parametrize(
    ("units", "last", "loss", "y", "expected"),
    [
        (1, "sigmoid", "binary_crossentropy", np.array([[0.0], [1.0], [1.0]]), "BinaryAccuracy"),
        (1, "sigmoid", "binary_crossentropy", np.array([0, 1, 1]), "BinaryAccuracy"),
        (3, "softmax", "sparse_categorical_crossentropy", np.array([0, 2, 1]), "SparseCategoricalAccuracy"),
        (3, "softmax", "categorical_crossentropy", np.eye(3), "CategoricalAccuracy"),
        (3, "sigmoid", "mse", np.eye(3), "CategoricalAccuracy"),
    ],
)
def test_accuracy_is_chosen_by_the_shapes(units, last, loss, y, expected):
    m = Sequential([Dense(units, last)])
    m.compile("sgd", loss, ["accuracy"])

    logs = m.test_on_batch(np.ones((3, 2)), y, return_dict=True)

    assert type(m._compiled_loss.metrics[0].metric).__name__ == expected
    assert set(logs) == {"loss", "accuracy"}


def test_a_stage_can_be_resumed_between_batches():
    m = model(["mae", AUC()])
    whole, first, second = m.new_accumulator(), m.new_accumulator(), m.new_accumulator()
    batches = [(column(0.2, 0.9), column(0, 1), None), (column(0.4), column(1), None)]
    for batch in batches:
        m.test_step(batch, whole)

    m.test_step(batches[0], first)
    second.load_state_dict(first.state_dict())
    m.test_step(batches[1], second)

    assert dict(second.logs()) == dict(whole.logs())


@pytest.mark.parametrize("state", [{}, {"sums": 3}, {"sums": np.zeros(3)}, {"sums": np.zeros(4, int)}, None])
def test_sums_of_other_metrics_are_refused(state):
    with pytest.raises(StateError, match="compile the model with the metrics it was saved with"):
        model().new_accumulator().load_state_dict(state)


def _no_losses(loss, y_true):
    raise AssertionError("an accuracy needs no losses")


class _Counting(SparseCategoricalAccuracy):
    """Counts the batches that it gets."""

    def __init__(self):
        super().__init__("counting")
        self.batches = 0

    def values(self, y_true, y_pred):
        self.batches += 1
        return super().values(y_true, y_pred)


def test_values_of_batches_that_waited_are_those_of_batches_measured_at_once():
    rng = np.random.default_rng(0)
    accumulator = NumpyMetricAccumulator(
        [NamedMetric("waits", SparseCategoricalAccuracy(), False), NamedMetric("own", _Counting(), False)]
    )
    right, samples = 0, 0
    for n in (5, 5, 5, 3, 5, 400):
        y, p = rng.integers(3, size=n), rng.random((n, 3))
        accumulator.add(0.5, y, p, None, _no_losses)
        hits = (p.argmax(1) == y).sum()
        right, samples = right + hits, samples + n

    assert accumulator.batch_logs()["waits"] == pytest.approx(hits / n)
    assert accumulator.batch_logs()["own"] == pytest.approx(hits / n)
    assert accumulator.logs()["waits"] == accumulator.logs()["own"] == right / samples


def test_a_metric_of_ones_own_gets_every_batch_at_once():
    metric = _Counting()
    accumulator = NumpyMetricAccumulator([NamedMetric("counting", metric, False)])

    for _ in range(3):
        accumulator.add(0.5, np.zeros(2, int), np.eye(2), None, _no_losses)

    assert metric.batches == 3


def test_batches_that_wait_are_copies_and_are_saved():
    y, p = np.zeros(2, int), np.eye(2)
    accumulator = NumpyMetricAccumulator([NamedMetric("accuracy", SparseCategoricalAccuracy(), False)])
    for _ in range(3):
        accumulator.add(0.5, y, p, None, _no_losses)
    y += 5
    p += np.nan

    state = accumulator.state_dict()

    np.testing.assert_array_equal(state["sums"], [3.0, 6.0, 3.0, 6.0])
