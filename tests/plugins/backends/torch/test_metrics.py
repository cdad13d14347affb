"""Metrics on tensors against `onstage.metrics` on arrays, batch by batch."""

import numpy as np
import pytest

from onstage import metrics as core

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from onstage_torch.losses import Loss  # noqa: E402
from onstage_torch.metrics.accumulator import TorchMetricAccumulator  # noqa: E402
from onstage_torch.metrics.metric import KernelMetric, make_metrics  # noqa: E402
from torch import nn  # noqa: E402

CPU = torch.device("cpu")
CLASSES = 4

ONE_HOT = [
    "accuracy",
    "categorical_accuracy",
    "top_k_categorical_accuracy",
    core.TopKCategoricalAccuracy(2),
    "mse",
    "mae",
    "root_mean_squared_error",
    "precision",
    "recall",
    core.Precision(0.3, class_id=1),
    core.Recall(top_k=2),
    core.Precision(0.2, top_k=2, name="both"),
    "auc",
    core.AUC(curve="PR", num_thresholds=11),
    core.AUC(thresholds=[0.2, 0.7]),
    "f1_score",
    core.F1Score(threshold=0.4, average="weighted"),
    core.F1Score(average="micro"),
]
SPARSE = [
    "accuracy",
    "acc",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    core.SparseTopKCategoricalAccuracy(2),
]
BINARY = ["accuracy", "binary_accuracy", core.BinaryAccuracy(threshold=0.3), "auc", "precision", "mse"]


def softmax(logits):
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return (shifted / shifted.sum(-1, keepdims=True)).astype(np.float32)


def name_of(metric):
    return metric if isinstance(metric, str) else f"{metric.name} {metric.get_config()}"


def both(metric, batches, weighted):
    """Return the results on tensors and on arrays."""
    measure = KernelMetric(metric, None, weighted=weighted)
    accumulator = TorchMetricAccumulator([measure], CPU)
    on_device = TorchMetricAccumulator([KernelMetric(metric, None, weighted=weighted)], CPU)
    on_device._on_host = False
    outputs, targets, _ = batches[0]
    oracle = core.get(metric, output_shape=outputs.shape, target_shape=targets.shape)
    state = oracle.new_state()
    for outputs, targets, weights in batches:
        tensors = [torch.from_numpy(each) for each in (outputs, targets, weights)]
        for each in (accumulator, on_device):
            each.add(torch.tensor(0.0), len(outputs), *tensors)
        oracle.update(state, targets, outputs, weights if weighted else None)
    return accumulator.logs()[measure.name], on_device.logs()[measure.name], oracle.result(state)


def batches(seed, sizes, targets_of, outputs_of):
    rng = np.random.default_rng(seed)
    return [(outputs_of(rng, n), targets_of(rng, n), rng.integers(0, 3, n).astype(np.float32)) for n in sizes]


seeds, sizes = st.integers(0, 2**31), st.lists(st.integers(1, 9), min_size=1, max_size=4)


def rows(rng, n):
    return softmax(rng.normal(size=(n, CLASSES)))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("metric", ONE_HOT, ids=name_of)
@settings(max_examples=8, deadline=None)
@given(seed=seeds, sizes=sizes)
def test_with_one_hot_targets_the_result_is_the_core_s(metric, weighted, seed, sizes):
    def targets(rng, n):
        return np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, n)]

    *ours, theirs = both(metric, batches(seed, sizes, targets, rows), weighted)

    assert ours == [pytest.approx(theirs, rel=1e-6, abs=1e-7)] * 2


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("metric", SPARSE, ids=name_of)
@settings(max_examples=8, deadline=None)
@given(seed=seeds, sizes=sizes, column=st.booleans())
def test_with_class_numbers_the_result_is_the_core_s(metric, weighted, seed, sizes, column):
    def targets(rng, n):
        numbers = rng.integers(0, CLASSES, n)
        return numbers[:, None] if column else numbers

    *ours, theirs = both(metric, batches(seed, sizes, targets, rows), weighted)

    assert ours == [pytest.approx(theirs, rel=1e-6, abs=1e-7)] * 2


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("metric", BINARY, ids=name_of)
@settings(max_examples=8, deadline=None)
@given(seed=seeds, sizes=sizes, column=st.booleans())
def test_with_a_single_output_the_result_is_the_core_s(metric, weighted, seed, sizes, column):
    def targets(rng, n):
        return rng.integers(0, 2, (n, 1) if column else n)

    def chances(rng, n):
        return rng.random((n, 1)).astype(np.float32)

    *ours, theirs = both(metric, batches(seed, sizes, targets, chances), weighted)

    assert ours == [pytest.approx(theirs, rel=1e-6, abs=1e-7)] * 2


def test_nan_outputs_count_as_in_the_core():
    bad = np.full((3, CLASSES), np.nan, np.float32)
    targets = np.eye(CLASSES, dtype=np.float32)[:3]

    for metric in ("categorical_accuracy", "top_k_categorical_accuracy", "auc"):
        *ours, theirs = both(metric, [(bad, targets, np.ones(3, np.float32))], False)
        assert ours == [theirs, theirs]


def one_batch(metric, outputs, targets, loss=None, weighted=False, weights=None):
    measure = make_metrics(*((None, metric) if weighted else (metric, None)), loss)[0]
    accumulator = TorchMetricAccumulator([measure], CPU)
    accumulator.add(torch.tensor(0.0), len(outputs), outputs, targets, weights)
    return accumulator.logs()[measure.name]


def test_logits_count_as_the_probabilities_that_the_loss_computes():
    logits = torch.tensor([[-0.1], [0.2], [0.4], [-3.0]])
    targets = torch.tensor([[0.0], [1.0], [1.0], [1.0]])
    with_logits = Loss(nn.BCEWithLogitsLoss())

    assert one_batch("accuracy", logits, targets, with_logits) == 0.75  # the line is at 0, not at 0.5
    assert one_batch("accuracy", logits, targets) == 0.25
    assert one_batch("precision", logits, targets, with_logits) == 1.0
    assert one_batch("precision", logits, targets) == 0.0
    # exp(log_softmax) of a single output is 1: all four are alarms.
    assert one_batch("precision", logits.log_softmax(-1), targets, Loss("nll_loss")) == 0.75


def test_classes_are_on_axis_1_if_the_loss_is_torchs():
    outputs = torch.zeros(2, 3, 4)  # n, classes, places
    outputs[:, 2, :] = 1
    targets = torch.full((2, 4), 2)
    targets[0, 0] = 1

    assert one_batch("accuracy", outputs, targets, Loss(nn.CrossEntropyLoss())) == 7 / 8


def test_a_function_returns_one_value_a_sample_or_their_mean():
    outputs, targets = torch.arange(6.0).reshape(3, 2), torch.zeros(3, 2)

    def each(outputs, targets):
        return outputs.sum(1)

    def mean(outputs, targets):
        return outputs.sum(1).mean()

    assert one_batch(each, outputs, targets) == 5.0
    assert one_batch(mean, outputs, targets) == 5.0
    assert one_batch(lambda o, t: 2.5, outputs, targets) == 2.5
    assert one_batch(each, outputs, targets, weighted=True, weights=torch.tensor([1.0, 0, 1])) == 5.0
    with pytest.raises(ValueError, match="one value for each of the 3 samples"):
        one_batch(mean, outputs, targets, weighted=True, weights=torch.ones(3))


def test_a_metric_class_of_the_user_runs_its_numpy_code():
    class Largest(core.MeanMetric):
        direction = "max"

        def values(self, y_true, y_pred):
            return y_pred.max(-1)

    outputs = torch.arange(6.0).reshape(3, 2)

    assert one_batch(Largest("largest"), outputs, torch.zeros(3, 2)) == 3.0


def test_names_and_directions_are_known_before_the_first_batch():
    given = {"hits": "accuracy", "far": lambda o, t: 0.0}

    made = make_metrics([core.AUC(), "mse"], given, None)

    assert [(each.name, each.direction) for each in made] == [
        ("auc", "max"),
        ("mse", "min"),
        ("hits", "max"),
        ("far", None),
    ]


def test_an_unknown_name_is_rejected():
    with pytest.raises(ValueError, match="did you mean 'accuracy'"):
        make_metrics(["acuracy"], None, None)


def test_metrics_of_one_name_are_numbered_as_in_keras():
    recalls = make_metrics([core.Recall(), "mse"], [core.Recall(), "mse"], None)

    assert [each.name for each in recalls] == ["recall", "mse", "recall_1", "weighted_mse"]
