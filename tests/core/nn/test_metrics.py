"""Metrics: values by hand, additive states, and names."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onstage import load_model
from onstage.nn import losses, metrics
from onstage.nn.layers import Dense
from onstage.nn.sequential import Sequential
from onstage.nn.target_shapes import target_kind


def of(metric, y_true, y_pred, sample_weight=None):
    """Return the value of a metric for one batch."""
    y_true, y_pred = np.array(y_true), np.array(y_pred, np.float32)
    metric.build(y_pred.shape)
    state = metric.new_state()
    metric.update(state, y_true, y_pred, None if sample_weight is None else np.array(sample_weight))
    return metric.result(state)


ROWS = [[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3], [0.5, 0.1, 0.4]]
CLASSES = [0, 1, 1, 2]
ONE_HOT = np.eye(3)[CLASSES]


def test_accuracy_counts_exact_equality():
    assert of(metrics.Accuracy(), [1, 2, 3, 4], [1, 2, 0, 4]) == 0.75


def test_binary_accuracy_compares_outputs_with_the_threshold():
    assert of(metrics.BinaryAccuracy(), [[1], [0], [1], [0]], [[0.9], [0.5], [0.4], [0.6]]) == 0.5
    assert of(metrics.BinaryAccuracy(threshold=0.3), [1, 0, 1], [0.31, 0.3, 0.29]) == pytest.approx(2 / 3)


def test_sparse_accuracy_compares_the_target_with_the_largest_output():
    assert of(metrics.SparseCategoricalAccuracy(), CLASSES, ROWS) == 0.5
    assert of(metrics.SparseCategoricalAccuracy(), np.array(CLASSES)[:, None], ROWS) == 0.5
    assert of(metrics.SparseCategoricalAccuracy(), np.array(CLASSES, np.float32), ROWS) == 0.5


def test_categorical_accuracy_compares_the_largest_of_both():
    assert of(metrics.CategoricalAccuracy(), ONE_HOT, ROWS) == 0.5


def test_of_equal_outputs_the_first_counts_as_the_largest():
    assert of(metrics.SparseCategoricalAccuracy(), [0, 1], np.zeros((2, 3))) == 0.5


def test_accuracy_over_time_steps_is_the_mean_of_samples():
    y_pred = np.eye(3)[[[0, 1], [2, 2]]]

    assert of(metrics.SparseCategoricalAccuracy(), [[0, 1], [2, 0]], y_pred) == 0.75


def test_top_k_counts_targets_among_the_k_largest_outputs():
    assert of(metrics.SparseTopKCategoricalAccuracy(k=2), CLASSES, ROWS) == 1.0
    assert of(metrics.SparseTopKCategoricalAccuracy(k=1), CLASSES, ROWS) == 0.5
    assert of(metrics.TopKCategoricalAccuracy(k=2), ONE_HOT, ROWS) == 1.0
    assert metrics.TopKCategoricalAccuracy().k == 5


def test_a_nan_is_never_among_the_largest_outputs():
    assert of(metrics.SparseTopKCategoricalAccuracy(k=2), [0], [[math.nan, 0.1, 0.2]]) == 0.0


def test_errors_are_means_over_samples_and_axes():
    y_true, y_pred = [[1.0, 2.0], [3.0, 4.0]], [[1.0, 4.0], [0.0, 4.0]]

    assert of(metrics.MeanSquaredError(), y_true, y_pred) == 3.25
    assert of(metrics.MeanAbsoluteError(), y_true, y_pred) == 1.25
    assert of(metrics.RootMeanSquaredError(), y_true, y_pred) == math.sqrt(3.25)


def test_a_vector_of_targets_fits_a_column_of_outputs():
    assert of(metrics.MeanSquaredError(), [1.0, 2.0], [[1.0], [4.0]]) == 2.0


def test_shapes_are_never_broadcast():
    with pytest.raises(ValueError, match=r"targets of the outputs' shape, \(3, 3\), got \(3,\)"):
        of(metrics.MeanSquaredError(), [1.0, 2.0, 3.0], np.zeros((3, 3)))


def test_sample_weights_make_a_weighted_mean():
    assert of(metrics.SparseCategoricalAccuracy(), CLASSES, ROWS, [3, 1, 0, 0]) == 0.75
    assert of(metrics.MeanSquaredError(), [[0, 0], [0, 0]], [[1, 3], [2, 2]], [1, 3]) == (5 + 3 * 4) / 4
    assert of(metrics.MeanSquaredError(), [[0], [0]], [[1], [2]], [[1], [3]]) == (1 + 3 * 4) / 4
    # A weight per time step: values and weights are averaged over the steps.
    assert of(metrics.MeanSquaredError(), np.zeros((1, 2)), [[1, 3]], [[1, 0]]) == 1.0


def test_a_metric_without_samples_is_zero():
    assert metrics.MeanSquaredError().result() == 0.0
    assert of(metrics.MeanSquaredError(), [1.0], [2.0], [0.0]) == 0.0
    assert metrics.Precision().result() == metrics.Recall().result() == metrics.AUC().result() == 0.0


ALARMS, ACTUAL = [0.9, 0.8, 0.6, 0.3, 0.2], [1, 0, 1, 1, 0]


def test_precision_and_recall_count_true_and_false_positives():
    assert of(metrics.Precision(), ACTUAL, ALARMS) == pytest.approx(2 / 3)
    assert of(metrics.Recall(), ACTUAL, ALARMS) == pytest.approx(2 / 3)
    assert of(metrics.Precision(thresholds=0.85), ACTUAL, ALARMS) == 1.0
    assert of(metrics.Recall(thresholds=[0.25]), ACTUAL, ALARMS) == 1.0


def test_precision_and_recall_use_sample_weights():
    weights = [1, 4, 1, 8, 1]

    assert of(metrics.Precision(), ACTUAL, ALARMS, weights) == pytest.approx(2 / 6)
    assert of(metrics.Precision(), ACTUAL, ALARMS, np.array(weights)[:, None]) == pytest.approx(2 / 6)
    assert of(metrics.Recall(), ACTUAL, ALARMS, weights) == pytest.approx(2 / 10)


def test_precision_can_be_restricted_to_one_class_or_the_largest_outputs():
    assert of(metrics.Precision(class_id=0), ONE_HOT, ROWS) == 1.0
    assert of(metrics.Recall(class_id=0, thresholds=0.4), ONE_HOT, ROWS) == 1.0
    assert of(metrics.Precision(class_id=0, thresholds=0.4), ONE_HOT, ROWS) == 0.5
    assert of(metrics.Precision(top_k=1), ONE_HOT, ROWS) == 0.5
    assert of(metrics.Recall(top_k=2), ONE_HOT, ROWS) == 1.0
    assert of(metrics.Precision(top_k=2, thresholds=0.35), ONE_HOT, ROWS) == pytest.approx(3 / 5)


def test_f1_is_the_harmonic_mean_averaged_over_classes():
    # By class: true positives 1, 1, 0; false positives 1, 0, 1; false negatives 0, 1, 1.
    scores = [2 / 3, 2 / 3, 0.0]

    assert of(metrics.F1Score(), ONE_HOT, ROWS) == pytest.approx(np.mean(scores), abs=1e-6)
    assert of(metrics.F1Score("weighted"), ONE_HOT, ROWS) == pytest.approx(
        np.average(scores, weights=[1, 2, 1]), abs=1e-6
    )
    assert of(metrics.F1Score("micro"), ONE_HOT, ROWS) == pytest.approx(0.5, abs=1e-6)


def test_f1_with_a_threshold_supports_multi_hot_targets():
    y_true, y_pred = [[1, 1], [0, 1]], [[0.6, 0.6], [0.7, 0.2]]

    assert of(metrics.F1Score("micro", threshold=0.5), y_true, y_pred) == pytest.approx(2 / 3, abs=1e-6)


def test_auc_of_a_perfect_a_reversed_and_a_random_classifier():
    y_true = [0, 0, 1, 1]

    assert of(metrics.AUC(), y_true, [0.1, 0.2, 0.8, 0.9]) == 1.0
    assert of(metrics.AUC(), y_true, [0.9, 0.8, 0.2, 0.1]) == 0.0
    assert of(metrics.AUC(), y_true, [0.5, 0.5, 0.5, 0.5]) == 0.5
    assert of(metrics.AUC(curve="PR"), y_true, [0.1, 0.2, 0.8, 0.9]) == pytest.approx(1.0)


@given(
    scores=st.lists(st.integers(0, 40), min_size=2, max_size=60),
    seed=st.integers(0, 1000),
)
@settings(max_examples=50, deadline=None)
def test_auc_is_the_probability_that_a_positive_outranks_a_negative(scores, seed):
    y_pred = np.array(scores) / 40
    y_true = np.random.default_rng(seed).integers(0, 2, len(scores))
    y_true[:2] = 0, 1
    positive, negative = y_pred[y_true == 1], y_pred[y_true == 0]
    difference = positive[:, None] - negative

    expected = np.mean((difference > 0) + 0.5 * (difference == 0))

    # More thresholds than distinct scores: each interval holds equal scores only.
    assert of(metrics.AUC(num_thresholds=401), y_true, y_pred) == pytest.approx(expected)
    assert of(metrics.AUC(thresholds=np.arange(0.5, 40) / 40), y_true, y_pred) == pytest.approx(expected)


def test_upper_and_lower_sums_bound_the_area():
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 2, 200)
    y_pred = np.clip(0.3 * y_true + 0.5 * rng.random(200), 0, 1)

    for curve in ("ROC", "PR"):
        low, between, high = (
            of(metrics.AUC(10, curve, method), y_true, y_pred)
            for method in ("minoring", "interpolation", "majoring")
        )
        assert low < between < high


def test_auc_accepts_logits():
    logits = np.array([-50.0, -1.0, 0.5, 60.0])

    from_logits = of(metrics.AUC(from_logits=True), [0, 1, 0, 1], logits)

    assert from_logits == of(metrics.AUC(), [0, 1, 0, 1], 1 / (1 + np.exp(-logits))) == 0.75


def test_auc_tolerates_nan_outputs_of_a_diverged_model():
    assert of(metrics.AUC(), [0, 1], [math.nan, math.inf]) == 1.0


EVERY = {
    "binary": [
        metrics.BinaryAccuracy(threshold=0.4),
        metrics.AUC(),
        metrics.AUC(50, "PR"),
        metrics.AUC(thresholds=[0.1, 0.7]),
        metrics.Precision(),
        metrics.Recall(0.3),
        metrics.MeanSquaredError(),
        metrics.MeanAbsoluteError(),
        metrics.RootMeanSquaredError(),
        metrics.get("binary_crossentropy"),
        metrics.BinaryCrossentropy(label_smoothing=0.1),
        metrics.SquaredHinge(),
        metrics.Poisson(),
        metrics.R2Score(),
    ],
    "sparse": [
        metrics.SparseCategoricalAccuracy(),
        metrics.SparseTopKCategoricalAccuracy(2),
        metrics.get("sparse_categorical_crossentropy"),
        metrics.SparseCategoricalCrossentropy(),
    ],
    "categorical": [
        metrics.CategoricalAccuracy(),
        metrics.TopKCategoricalAccuracy(2),
        metrics.F1Score(),
        metrics.F1Score("micro", 0.3),
        metrics.F1Score("weighted"),
        metrics.Precision(top_k=1),
        metrics.Recall(class_id=2),
        metrics.LossMetric("categorical_crossentropy"),
        metrics.CategoricalCrossentropy(),
        metrics.CosineSimilarity(),
        metrics.KLDivergence(),
        metrics.CategoricalHinge(),
        metrics.LogCoshError(),
        metrics.MeanSquaredLogarithmicError(),
        metrics.R2Score("variance_weighted_average"),
    ],
}
CASES = [(kind, metric) for kind, each in EVERY.items() for metric in each]


def a_batch(kind, rng, n):
    if kind == "binary":
        return rng.integers(0, 2, n), rng.random(n, np.float32)[:, None]
    y_true, y_pred = rng.integers(0, 4, n), rng.random((n, 4), np.float32)
    return (y_true, y_pred) if kind == "sparse" else (np.eye(4, dtype=np.float32)[y_true], y_pred)


@pytest.mark.parametrize(("kind", "metric"), CASES, ids=lambda x: getattr(x, "name", x))
@pytest.mark.parametrize("weighted", [False, True])
def test_states_of_batches_add_up_to_that_of_the_whole(kind, metric, weighted):
    rng = np.random.default_rng(1)
    y_true, y_pred = a_batch(kind, rng, 50)
    weight = rng.random(50) if weighted else None
    metric.build(y_pred.shape)
    whole, parts = metric.new_state(), metric.new_state()
    metric.update(whole, y_true, y_pred, weight)

    for rows in (slice(0, 7), slice(7, 40), slice(40, 50)):
        part = metric.new_state()
        metric.update(part, y_true[rows], y_pred[rows], None if weight is None else weight[rows])
        parts += part

    assert metric.result(parts) == pytest.approx(metric.result(whole), rel=1e-6)


@pytest.mark.parametrize(("kind", "metric"), CASES, ids=lambda x: getattr(x, "name", x))
def test_a_weight_of_two_equals_a_sample_seen_twice(kind, metric):
    y_true, y_pred = a_batch(kind, np.random.default_rng(2), 30)
    times = np.arange(30) % 3
    metric.build(y_pred.shape)
    weighted, repeated = metric.new_state(), metric.new_state()

    metric.update(weighted, y_true, y_pred, times.astype(np.float32))
    metric.update(repeated, y_true.repeat(times, 0), y_pred.repeat(times, 0))

    assert metric.result(weighted) == pytest.approx(metric.result(repeated), rel=1e-5)


@pytest.mark.parametrize(("kind", "metric"), CASES, ids=lambda x: getattr(x, "name", x))
def test_outputs_may_have_any_memory_order(kind, metric):
    y_true, y_pred = a_batch(kind, np.random.default_rng(3), 30)
    metric.build(y_pred.shape)
    across, along = metric.new_state(), metric.new_state()

    metric.update(across, y_true, np.asfortranarray(y_pred))
    metric.update(along, y_true, y_pred)

    assert metric.result(across) == pytest.approx(metric.result(along))


@pytest.mark.parametrize(("kind", "metric"), CASES, ids=lambda x: getattr(x, "name", x))
def test_state_is_float64_and_the_result_a_float(kind, metric):
    y_true, y_pred = a_batch(kind, np.random.default_rng(4), 30)
    metric.build(y_pred.shape)
    state = metric.new_state()
    metric.update(state, y_true, y_pred)

    assert state.dtype == np.float64
    assert type(metric.result(state)) is float


@pytest.mark.parametrize(("kind", "metric"), CASES, ids=lambda x: getattr(x, "name", x))
def test_configuration_rebuilds_the_same_metric(kind, metric):
    again = metrics.get({"class_name": type(metric).__name__, "config": metric.get_config()})
    batch = a_batch(kind, np.random.default_rng(5), 30)

    assert again.name == metric.name
    assert again.direction == metric.direction
    assert of(again, *batch) == of(metric, *batch)


@pytest.mark.parametrize(("kind", "metric"), CASES, ids=lambda x: getattr(x, "name", x))
def test_outside_a_model_a_metric_keeps_its_own_state(kind, metric):
    batches = [a_batch(kind, np.random.default_rng(seed), 20) for seed in (6, 7)]
    whole = [np.concatenate(each) for each in zip(*batches, strict=True)]
    metric.reset_state()

    for y_true, y_pred in batches:
        metric.update_state(y_true, y_pred)

    assert metric.result() == pytest.approx(of(metric, *whole), rel=1e-6)
    metric.reset_state()
    metric.update_state(*batches[0])
    assert metric.result() == pytest.approx(of(metric, *batches[0]), rel=1e-6)
    metric.reset_state()


def test_a_function_is_a_metric_under_its_name():
    def largest_error(y_true, y_pred):
        return np.abs(y_true - y_pred).max(axis=1)

    metric = metrics.get(largest_error)

    assert (metric.name, metric.direction) == ("largest_error", None)
    assert of(metric, [[0.0, 0.0], [0.0, 0.0]], [[1.0, 2.0], [3.0, 4.0]]) == 3.0
    with pytest.raises(TypeError, match="metric largest_error is a function and cannot be saved"):
        metric.get_config()


def test_a_number_from_a_function_counts_as_one_sample():
    metric = metrics.MeanMetricWrapper(
        lambda y_true, y_pred, power: (y_pred**power).sum(), "sum", "min", power=2
    )

    for y_pred in ([1.0, 2.0], [3.0]):
        metric.update_state(np.zeros(len(y_pred)), np.array(y_pred))

    assert metric.result() == 7.0
    assert (metric.name, metric.direction) == ("sum", "min")


def test_a_function_must_return_one_value_per_sample():
    metric = metrics.get(lambda y_true, y_pred: y_pred.mean(axis=0))

    with pytest.raises(ValueError, match=r"one value for each of the 4 samples, got shape \(3,\)"):
        of(metric, CLASSES, ROWS)


def test_a_custom_metric_needs_only_to_define_values():
    class Within(metrics.MeanMetric):
        direction = "max"

        def values(self, y_true, y_pred):
            return np.abs(y_true - y_pred) < 1.0

    assert of(Within(), [0.0, 0.0], [0.5, 2.0]) == 0.5
    assert Within().name == "within"


@pytest.mark.parametrize(
    ("output_shape", "target_shape", "kind", "metric", "loss"),
    [
        ((None, 1), (None, 1), "binary", metrics.BinaryAccuracy, losses.BinaryCrossentropy),
        ((None, 1), (None,), "binary", metrics.BinaryAccuracy, losses.BinaryCrossentropy),
        ((None,), (None,), "binary", metrics.BinaryAccuracy, losses.BinaryCrossentropy),
        (
            (None, 9),
            (None,),
            "sparse",
            metrics.SparseCategoricalAccuracy,
            losses.SparseCategoricalCrossentropy,
        ),
        ((8, 9), (8, 1), "sparse", metrics.SparseCategoricalAccuracy, losses.SparseCategoricalCrossentropy),
        (
            (8, 5, 9),
            (8, 5),
            "sparse",
            metrics.SparseCategoricalAccuracy,
            losses.SparseCategoricalCrossentropy,
        ),
        ((None, 9), (None, 9), "categorical", metrics.CategoricalAccuracy, losses.CategoricalCrossentropy),
    ],
)
@pytest.mark.parametrize("name", ["accuracy", "acc", "Accuracy", "crossentropy", "ce"])
def test_accuracy_and_crossentropy_are_resolved_by_the_shapes(
    output_shape, target_shape, kind, metric, loss, name
):
    chosen = metrics.get(name, output_shape=output_shape, target_shape=target_shape)

    assert target_kind(target_shape, output_shape) == kind
    assert chosen.name == name
    if name.lower().startswith("acc"):
        assert type(chosen) is metric
        assert chosen.direction == "max"
    else:
        assert type(chosen.loss) is loss
        assert chosen.direction == "min"


@pytest.mark.parametrize(
    ("name", "kind", "direction"),
    [
        ("mse", metrics.MeanSquaredError, "min"),
        ("MAE", metrics.MeanAbsoluteError, "min"),
        ("mean_squared_error", metrics.MeanSquaredError, "min"),
        ("RootMeanSquaredError", metrics.RootMeanSquaredError, "min"),
        ("sparse_categorical_accuracy", metrics.SparseCategoricalAccuracy, "max"),
        ("top_k_categorical_accuracy", metrics.TopKCategoricalAccuracy, "max"),
        ("AUC", metrics.AUC, "max"),
        ("auc", metrics.AUC, "max"),
        ("precision", metrics.Precision, "max"),
        ("f1_score", metrics.F1Score, "max"),
        ("hinge", metrics.Hinge, "min"),
        ("msle", metrics.MeanSquaredLogarithmicError, "min"),
        ("MAPE", metrics.MeanAbsolutePercentageError, "min"),
        ("cosine_similarity", metrics.CosineSimilarity, "max"),
        ("r2_score", metrics.R2Score, "max"),
        ("kld", metrics.LossMetric, "min"),
        ("log_cosh", metrics.LossMetric, "min"),
        ("huber", metrics.LossMetric, "min"),
        ("bce", metrics.LossMetric, "min"),
        ("sparse_categorical_crossentropy", metrics.LossMetric, "min"),
    ],
)
def test_the_name_passed_is_used_in_the_logs(name, kind, direction):
    metric = metrics.get(name)

    assert type(metric) is kind
    assert (metric.name, metric.direction) == (name, direction)


def test_r2_is_the_explained_part_of_the_variance():
    # errors 1, 0, 1; deviations from the mean 8/3 have the square sum 14/3
    assert of(metrics.R2Score(), [[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]]) == pytest.approx(
        1 - 2 / (14 / 3)
    )
    assert of(metrics.R2Score(), [1.0, 2.0, 3.0], [[2.0], [2.0], [2.0]]) == 0.0


def test_r2_averages_outputs_alike_or_by_their_variance():
    y_true, y_pred = [[0.0, 0.0], [2.0, 4.0]], [[0.0, 1.0], [2.0, 4.0]]

    # The variations are 2 and 8, the scores 1 and 1 - 1/8.
    assert of(metrics.R2Score(), y_true, y_pred) == pytest.approx(1 - 1 / 16)
    assert of(metrics.R2Score("variance_weighted_average"), y_true, y_pred) == pytest.approx((2 + 7) / 10)


def test_r2_of_equal_targets_is_zero():
    assert of(metrics.R2Score(), [[1.0], [1.0]], [[1.0], [3.0]]) == 0.0
    assert of(metrics.R2Score("variance_weighted_average"), [[1.0], [1.0]], [[1.0], [3.0]]) == 0.0


def test_a_loss_function_is_the_metric_of_its_loss():
    metric = metrics.get(losses.mape)

    assert of(metric, [[2.0]], [[3.0]]) == pytest.approx(50.0)
    assert (metric.name, metric.direction) == ("mean_absolute_percentage_error", "min")


def test_loss_functions_of_a_compiled_model_are_saved_with_it(tmp_path):
    model = Sequential([Dense(2)], seed=0)
    model.compile("sgd", losses.log_cosh, [losses.cosine_similarity])
    expected = model.train_on_batch(np.ones((3, 2)), np.ones((3, 2)), return_dict=True)
    model.save(tmp_path / "model")

    loaded = load_model(tmp_path / "model")

    assert list(expected) == list(loaded.metrics_names) == ["loss", "cosine_similarity"]
    assert loaded.metric_directions()["cosine_similarity"] == "min"


def test_a_loss_is_a_metric():
    metric = metrics.get(losses.BinaryCrossentropy(from_logits=True))

    assert of(metric, [[1.0], [0.0]], [[0.0], [0.0]]) == pytest.approx(math.log(2))
    assert metric.name == "binary_crossentropy"


def test_classes_and_instances_are_accepted():
    metric = metrics.AUC(name="area")

    assert metrics.get(metric) is metric
    assert type(metrics.get(metrics.Recall)) is metrics.Recall


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: metrics.get("acuracy"), ValueError, "got 'acuracy'; did you mean 'accuracy'"),
        (lambda: metrics.get("hige"), ValueError, "got 'hige'; did you mean 'hinge'"),
        (lambda: metrics.get("accuracy"), ValueError, "output_shape and target_shape must be given"),
        (lambda: metrics.get(3), TypeError, "metric must be a name, a configuration or an instance, got 3"),
        (
            lambda: metrics.get("f1_score", output_shape=(None, 2, 2)),
            ValueError,
            r"f1_score must be given outputs",
        ),
        (lambda: metrics.R2Score().new_state(), ValueError, "must be built before its state is made"),
        (lambda: metrics.R2Score(None), ValueError, "class_aggregation must be one of 'uniform_average'"),
        (
            lambda: metrics.get("r2_score", output_shape=(None, 2, 2)),
            ValueError,
            r"r2_score must be given outputs of shape \(n, outputs\)",
        ),
        (lambda: metrics.F1Score().new_state(), ValueError, "must be built before its state is made"),
        (lambda: metrics.F1Score(average=None), ValueError, "average must be one of 'macro', .*, got None"),
        (lambda: metrics.F1Score(threshold=0), ValueError, r"threshold must be a number in \(0, 1\], got 0"),
        (lambda: metrics.AUC(num_thresholds=1), ValueError, "num_thresholds must be an integer >= 2, got 1"),
        (lambda: metrics.AUC(curve="RCO"), ValueError, "curve must be one of 'ROC', 'PR', got 'RCO'"),
        (lambda: metrics.AUC(curve=3), ValueError, "curve must be one of"),
        (lambda: metrics.AUC(thresholds=[2]), ValueError, r"thresholds must be a number in \[0, 1\], got 2"),
        (
            lambda: metrics.Precision([0.1, 0.2]),
            ValueError,
            r"thresholds must be one number, got \[0\.1, 0\.2\]",
        ),
        (lambda: metrics.Recall(top_k=0), ValueError, "top_k must be an integer >= 1, got 0"),
        (
            lambda: metrics.get(metrics.Precision(class_id=3), output_shape=(None, 3)),
            ValueError,
            "class_id must be less than 3, the number of classes",
        ),
        (lambda: metrics.BinaryAccuracy(threshold="x"), TypeError, "threshold must be a number in"),
        (lambda: metrics.TopKCategoricalAccuracy(k=0), ValueError, "k must be an integer >= 1, got 0"),
        (
            lambda: metrics.MeanMetricWrapper(3),
            TypeError,
            r"fn must be a function of \(y_true, y_pred\), got 3",
        ),
        (lambda: metrics.MeanMetricWrapper(len, direction="up"), ValueError, "must be 'min', 'max' or None"),
        (lambda: metrics.AUC(multi_label=True), TypeError, "unexpected keyword argument 'multi_label'"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


@pytest.mark.parametrize(
    ("metric", "y_true", "message"),
    [
        (metrics.SparseCategoricalAccuracy(), ONE_HOT, "for one-hot targets use the metric without 'sparse'"),
        (metrics.CategoricalAccuracy(), CLASSES, "for class numbers use sparse_categorical_accuracy"),
        (
            metrics.TopKCategoricalAccuracy(),
            CLASSES,
            "for class numbers use sparse_top_k_categorical_accuracy",
        ),
        (
            metrics.AUC(),
            CLASSES,
            r"auc must be given targets of the outputs' shape, \(4, 3\), got \(4,\)",
        ),
        (metrics.F1Score(), CLASSES, "f1_score must be given targets of the outputs' shape"),
        (metrics.Precision(), CLASSES, "precision must be given targets of the outputs' shape"),
    ],
)
def test_targets_of_another_layout_are_refused(metric, y_true, message):
    with pytest.raises(ValueError, match=message):
        of(metric, y_true, ROWS)
