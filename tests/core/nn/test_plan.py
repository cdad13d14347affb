"""Results of plans against textbook formulas, for batches of all kinds."""

import gc
import tracemalloc
import weakref

import numpy as np
import pytest

from onstage.nn.layers import Activation, Conv2D, Dense, Embedding, Flatten, Layer, MaxPooling2D
from onstage.nn.optimizers import SGD
from onstage.nn.sequential import Sequential


def blobs(n, d_in=6, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d_in)).astype(np.float32), rng.integers(classes, size=n)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class PlainNetwork:
    """Textbook dense relu, dense softmax, cross-entropy and SGD, in float64."""

    def __init__(self, weights, rate):
        self.w1, self.b1, self.w2, self.b2 = (w.astype(np.float64) for w in weights)
        self.rate = rate

    def step(self, x, y, weights=None):
        weights = np.ones(len(x)) if weights is None else weights
        h = np.maximum(x @ self.w1 + self.b1, 0)
        p = softmax(h @ self.w2 + self.b2)
        loss = np.sum(-np.log(p[np.arange(len(y)), y]) * weights) / len(y)
        hits = p.argmax(axis=1) == y
        dz = p.copy()
        dz[np.arange(len(y)), y] -= 1
        dz *= weights[:, None] / len(y)
        dh = (dz @ self.w2.T) * (h > 0)
        for array, gradient in (
            (self.w2, h.T @ dz),
            (self.b2, dz.sum(axis=0)),
            (self.w1, x.T @ dh),
            (self.b1, dh.sum(axis=0)),
        ):
            array -= self.rate * gradient
        return loss, hits


def dense_model(seed=0, **options):
    model = Sequential([Dense(8, "relu"), Dense(3, "softmax")], seed=seed, **options)
    model.compile(SGD(0.5), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.build((None, 6))
    return model


@pytest.mark.parametrize("weighted", [False, True])
def test_an_epoch_equals_the_textbook_formulas(weighted):
    x, y = blobs(70)
    weights = np.random.default_rng(1).random(70) if weighted else None
    model = dense_model()
    plain = PlainNetwork(model.get_weights(), 0.5)
    losses, hits = [], []

    for batch in (slice(0, 32), slice(32, 64), slice(64, 70)):
        loss, hit = plain.step(x[batch], y[batch], None if weights is None else weights[batch])
        losses.append(loss * len(hit))
        hits += list(hit)
    history = model.fit(x, y, 32, shuffle=False, verbose=0, sample_weight=weights).history

    assert history["loss"] == [pytest.approx(sum(losses) / 70, rel=1e-6)]
    assert history["accuracy"] == [pytest.approx(np.mean(hits))]
    for ours, theirs in zip(model.get_weights(), (plain.w1, plain.b1, plain.w2, plain.b2), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)


def test_batches_of_all_sizes_share_the_weights():
    x, y = blobs(40)
    model, plain = dense_model(dtype="float64"), None
    plain = PlainNetwork(model.get_weights(), 0.5)

    # More sizes than plans are kept, then the first ones again.
    for n in [*range(1, 15), 3, 1, 40]:
        expected = plain.step(x[:n].astype(np.float64), y[:n])[0]
        assert model.train_on_batch(x[:n], y[:n])[0] == pytest.approx(expected, rel=1e-9)
    assert len(model._plans) <= 8


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.uint8, np.int64, np.bool_])
def test_numbers_of_any_type_train_like_their_float32_values(dtype):
    x = (10 * np.random.default_rng(0).random((12, 6))).astype(dtype)
    y = np.arange(12) % 3
    models = dense_model(), dense_model()

    losses = [
        models[0].train_on_batch(x, y),
        models[1].train_on_batch(x.astype(np.float32), y.astype(np.float32)),
    ]

    assert losses[0] == losses[1]
    for a, b in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "turn",
    [
        np.asfortranarray,
        lambda a: a[::-1][::-1],
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: np.concatenate([a, a])[: len(a)],
    ],
)
def test_the_memory_order_of_a_batch_does_not_matter(turn):
    for layers, shape in (
        (lambda: [Dense(4, "relu"), Dense(3)], (8, 6)),
        (lambda: [Conv2D(3, 2, activation="relu"), MaxPooling2D(), Flatten(), Dense(3)], (4, 6, 5, 2)),
        (lambda: [Activation("tanh"), Dense(3)], (8, 6)),
        (lambda: [Conv2D(3, 1), Flatten(), Dense(3)], (1, 4, 4, 1)),
    ):
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        y = np.random.default_rng(1).normal(size=(shape[0], 3))
        results = []
        for batch, target in ((x, y), (turn(x), turn(y))):
            model = Sequential(layers(), seed=0)
            model.compile("sgd", "mse")
            results.append([model.train_on_batch(batch, target), *model.get_weights()])
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_array_of_a_batch_may_be_reused_for_the_next_batch():
    x, y = blobs(64)
    models = dense_model(), dense_model()
    hot_x, hot_y = np.empty((16, 6), np.float32), np.empty(16, y.dtype)

    for start in range(0, 64, 16):
        hot_x[:], hot_y[:] = x[start : start + 16], y[start : start + 16]
        models[0].train_on_batch(hot_x, hot_y)
        models[1].train_on_batch(x[start : start + 16].copy(), y[start : start + 16].copy())

    for a, b in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("loss", ["mse", "hinge", "categorical_crossentropy", "binary_crossentropy"])
def test_the_data_of_a_batch_is_not_modified(loss):
    x = np.random.default_rng(0).random((8, 6)).astype(np.float32)
    y = np.eye(3, dtype=np.float32)[np.arange(8) % 3]
    x_before, y_before = x.copy(), y.copy()
    of_probabilities = ("softmax", "sigmoid")
    for last in of_probabilities if "entropy" in loss else ("linear", "relu", *of_probabilities):
        for first in (Activation("relu"), Activation("softmax"), Dense(4, "relu")):
            model = Sequential([first, Dense(3, last)])
            model.compile("sgd", loss)
            model.train_on_batch(x, y)
            model.test_on_batch(x, y)
            model.predict_on_batch(x)

    np.testing.assert_array_equal(x, x_before)
    np.testing.assert_array_equal(y, y_before)


def test_a_batch_is_released_after_its_step():
    class Watched(np.ndarray):
        pass

    x, y = blobs(8)
    batch, target = x.view(Watched), y.view(Watched)
    watched = [weakref.ref(batch), weakref.ref(target)]
    model = dense_model()
    accumulator = model.new_accumulator()

    model.train_step((batch, target, None), accumulator)
    model.test_step((batch, target, None), accumulator)
    model.predict_step((batch, None, None))
    del batch, target
    gc.collect()

    assert [each() for each in watched] == [None, None]


def test_predictions_are_not_overwritten_by_the_next_batch():
    x, _ = blobs(8)
    model = dense_model()

    first = model.predict_step((x, None, None))
    kept = first.copy()
    model.predict_step((-x, None, None))

    np.testing.assert_array_equal(first, kept)
    assert first.flags.c_contiguous


def test_predictions_do_not_depend_on_the_size_of_the_batch():
    x, _ = blobs(50)
    model = dense_model(dtype="float64")

    whole = model.predict_on_batch(x)

    np.testing.assert_allclose(
        np.concatenate([model.predict_on_batch(x[i : i + 7]) for i in range(0, 50, 7)]), whole
    )


def test_softmax_as_a_separate_layer_gives_the_same_bits():
    x, y = blobs(16)
    weights = []
    for layers in ([Dense(3, "softmax")], [Dense(3), Activation("softmax")]):
        model = Sequential(layers, seed=0)
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.train_on_batch(x, y)
        weights.append(model.get_weights())

    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_frozen_layer_does_not_change_while_others_learn():
    x, y = blobs(16)
    model = Sequential([Dense(8, "relu", trainable=False), Dense(3, "softmax")], seed=0)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.build((None, 6))
    before = model.get_weights()

    model.train_on_batch(x, y)

    changed = [(a != b).any() for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [False, False, True, True]


def test_no_gradients_are_computed_below_the_first_trained_weights():
    class Fixed(Layer):
        def forward(self, x, training):
            return 2 * x

        def backward(self, gradient):
            raise AssertionError("nobody needs this gradient")

    x, y = blobs(16)
    model = Sequential([Fixed(), Activation("tanh"), Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")

    assert np.isfinite(model.train_on_batch(x, y))


def test_penalties_are_part_of_the_loss_in_training_and_evaluation():
    x, y = blobs(16)
    model = Sequential([Dense(3, "softmax", kernel_regularizer="l2")], seed=0)
    plain = Sequential([Dense(3, "softmax")], seed=0)
    for each in (model, plain):
        each.compile(SGD(0.0), "sparse_categorical_crossentropy")
        each.build((None, 6))
    penalty = 0.01 * np.sum(model.get_weights()[0] ** 2)

    assert model.test_on_batch(x, y) == pytest.approx(plain.test_on_batch(x, y) + penalty)
    assert model.train_on_batch(x, y) == pytest.approx(plain.train_on_batch(x, y) + penalty)


def test_a_diverging_training_gives_nan_and_no_warning():
    x, y = blobs(16)
    model = Sequential([Dense(4), Dense(3)])
    model.compile(SGD(1e30), "mse")

    losses = [model.train_on_batch(1e4 * x, 1e4 * np.eye(3)[y]) for _ in range(4)]

    assert np.isfinite(losses[0])
    assert not np.isfinite(losses[-1])


def test_an_embedding_accepts_integers_that_float32_cannot_represent():
    x = np.array([[2**24 + 1], [2**24]])
    model = Sequential([Embedding(2**24 + 2, 1, "zeros"), Flatten()])
    model.build((None, 1))
    model.layers[0].embeddings.value[2**24 + 1] = 7

    np.testing.assert_array_equal(model.predict_on_batch(x), [[7], [0]])


def test_a_metric_that_calls_the_model_leaves_the_step_alone():
    x, y = np.random.default_rng(0).normal(size=(2, 64, 300)), np.zeros((64, 300))

    def shifted(y_true, y_pred):
        return np.abs(model(x[1]) - y_true)

    weights = []
    for metrics in ([], [shifted]):
        model = Sequential([Dense(300, "relu"), Dense(300, "sigmoid")], seed=0)
        model.compile("sgd", "mse", metrics=metrics)
        model.train_on_batch(x[0], y)
        model.train_on_batch(x[0], y)
        weights.append(model.get_weights())

    for without, with_metric in zip(*weights, strict=True):
        np.testing.assert_array_equal(without, with_metric)


def test_a_short_batch_and_a_prediction_use_the_memory_of_the_full_batch():
    tracemalloc.start()
    model = Sequential(
        [Conv2D(16, 3), Activation("tanh"), MaxPooling2D(), Conv2D(16, 3), Flatten(), Dense(4)]
    )
    model.compile("sgd", "mse")
    x = np.zeros((40, 20, 20, 3), np.float32)
    model.train_on_batch(x, np.zeros((40, 4)))
    full, _ = tracemalloc.get_traced_memory()

    model.train_on_batch(x[:30], np.zeros((30, 4)))
    model.test_on_batch(x[:35], np.zeros((35, 4)))
    model.predict_on_batch(x)

    both, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert both < 1.1 * full
