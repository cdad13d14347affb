"""fit, evaluate and predict on the numpy model, used as in Keras."""

import re

import numpy as np
import pytest

from onstage import Callback, OnstageWarning, Sequential, layers, optimizers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype("int64")


def classifier(seed=0, dropout=0.0):
    model = Sequential(
        [layers.Dense(8, activation="tanh"), layers.Dropout(dropout), layers.Dense(2, activation="softmax")],
        seed=seed,
    )
    model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def line():
    """Return a model with one weight w = 3, and on `ONES` the loss (w - 1)²."""
    model = Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False)])
    model.compile(optimizers.SGD(0.25), "mse")
    model.set_weights([np.array([[3.0]], "float32")])
    return model


ONES = np.ones((4, 1), "float32")


def test_the_loss_of_a_known_model_falls_as_computed_by_hand():
    model = line()

    history = model.fit(ONES, ONES, batch_size=4, epochs=3, verbose=0)

    # dL/dw = 2 (w - 1), so w - 1 halves with each step: 2, 1, 0.5.
    assert history.history["loss"] == [4.0, 1.0, 0.25]
    assert model.evaluate(ONES, ONES, verbose=0) == 0.0625


def test_a_short_last_batch_weighs_by_its_samples():
    model = line()
    model.learning_rate = 0.0
    y = np.array([[1.0]] * 4 + [[3.0]], "float32")

    history = model.fit(np.ones((5, 1), "float32"), y, batch_size=4, shuffle=False, verbose=0)

    assert history.history["loss"] == [pytest.approx(4 * 4.0 / 5)]


def test_steps_without_a_batch_size_leave_no_row_out():
    model = line()
    x = np.arange(100, dtype="float32")[:, None]
    params = []

    class Params(Callback):
        def on_train_begin(self):
            params.append(self.params)

    outputs = model.predict(x, steps=2, verbose=0)
    loss = model.evaluate(x, np.zeros_like(x), steps=3, verbose=0)
    model.learning_rate = 0.0
    history = model.fit(
        x[:20],
        np.zeros_like(x[:20]),
        steps_per_epoch=4,
        validation_data=(x, np.zeros_like(x)),
        validation_steps=3,
        callbacks=[Params()],
        verbose=0,
    )

    assert outputs.tolist() == (3 * x).tolist()
    # The mean of (3 k)² for k = 0 to 99.
    assert loss == pytest.approx(9 * 328350 / 100)
    assert history.history["val_loss"] == [pytest.approx(9 * 328350 / 100)]
    assert history.history["loss"] == [pytest.approx(9 * 2470 / 20)]
    assert (params[0]["steps"], params[0]["batch_size"]) == (4, 5)


def test_a_classifier_learns_separable_data():
    model = classifier()

    history = model.fit(X, Y, epochs=150, verbose=0, seed=0)
    loss, accuracy = model.evaluate(X, Y, verbose=0)

    assert history.history["accuracy"][-1] > 0.95
    assert accuracy > 0.95
    assert loss < history.history["loss"][0] / 3
    assert (model.predict(X, verbose=0).argmax(axis=1) == Y).mean() == pytest.approx(accuracy)


def test_a_seed_makes_a_run_repeatable_to_the_bit():
    runs = []
    for seed in (7, 7, 8):
        model = classifier(dropout=0.5)
        history = model.fit(X, Y, epochs=3, batch_size=8, verbose=0, seed=seed)
        runs.append((history.history, [weight.tobytes() for weight in model.get_weights()]))

    assert runs[0] == runs[1]
    assert runs[0][1] != runs[2][1]


def test_a_seed_of_fit_also_seeds_the_weights_that_fit_builds():
    losses = [classifier(seed=None).fit(X, Y, verbose=0, seed=3).history["loss"] for _ in range(2)]

    assert losses[0] == losses[1]


def test_generators_train_with_steps_and_end_the_training_when_they_end():
    def batches(count):
        for _ in range(count):
            yield X[:10], Y[:10]

    history = classifier().fit(batches(6), epochs=3, steps_per_epoch=2, verbose=0)
    assert history.epoch == [0, 1, 2]

    with pytest.warns(OnstageWarning, match="ran out of data"):
        history = classifier().fit(batches(3), epochs=9, steps_per_epoch=2, verbose=0)
    assert history.epoch == [0, 1]
    assert history.stop_reason == "the data has ended"


def test_an_iterable_of_batches_of_unknown_length_trains(recording):
    class Stream:
        def __iter__(self):
            yield X[:20], Y[:20]
            yield X[20:], Y[20:], np.ones(10, "float32")

    history = classifier().fit(Stream(), epochs=2, verbose=0, callbacks=[recording])

    assert recording.stages.count("on_train_batch_end") == 4
    assert history.epoch == [0, 1]


def test_a_memmap_trains_like_the_array(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")

    losses = [classifier().fit(x, Y, epochs=2, verbose=0, seed=1).history["loss"] for x in (X, mapped)]

    assert losses[0] == losses[1]


def test_class_weights_are_sample_weights():
    weights = np.where(Y == 1, 3.0, 1.0).astype("float32")

    by_class = classifier().fit(X, Y, class_weight={0: 1.0, 1: 3.0}, verbose=0, seed=0)
    by_sample = classifier().fit(X, Y, sample_weight=weights, verbose=0, seed=0)

    assert by_class.history == by_sample.history


def test_validation_split_takes_the_last_samples():
    model = line()
    x = np.concatenate([np.ones((8, 1)), np.full((2, 1), 2.0)]).astype("float32")
    y = x.copy()

    history = model.fit(x, y, validation_split=0.2, batch_size=8, verbose=0)

    # w = 2 after one step; (2 * 2 - 2)² on the last two samples.
    assert history.history["val_loss"] == [4.0]


@pytest.mark.parametrize(("freq", "epochs"), [(1, [0, 1, 2, 3]), (2, [1, 3]), ([1, 4], [0, 3]), (9, [])])
def test_validation_freq_counts_epochs_from_one(freq, epochs):
    history = line().fit(ONES, ONES, validation_data=(ONES, ONES), validation_freq=freq, epochs=4, verbose=0)

    assert history.epochs_of.get("val_loss", []) == epochs


def test_evaluate_returns_a_number_a_list_or_a_dict():
    model = classifier()
    model.fit(X, Y, verbose=0)

    named = model.evaluate(X, Y, verbose=0, return_dict=True)
    listed = model.evaluate(X, Y, verbose=0)

    assert list(named) == model.metrics_names == ["loss", "accuracy"]
    assert listed == list(named.values())
    assert isinstance(line().evaluate(ONES, ONES, verbose=0), float)


def test_evaluate_inside_a_callback_does_not_change_the_training():
    class Peeks:
        def on_train_batch_end(self, batch, run):
            run.model.evaluate(X, Y, batch_size=7, verbose=0)
            run.model.predict(X[:3], verbose=0)

    plain = classifier(dropout=0.3).fit(X, Y, batch_size=8, epochs=2, verbose=0, seed=0)
    peeked = classifier(dropout=0.3).fit(X, Y, batch_size=8, epochs=2, verbose=0, seed=0, callbacks=[Peeks()])

    assert peeked.history == plain.history


def test_predict_returns_a_new_array():
    model = classifier()
    model.fit(X, Y, verbose=0)

    first = model.predict(X, batch_size=7, verbose=0)
    kept = first.copy()
    model.predict(-X, batch_size=7, verbose=0)

    assert first.shape == (30, 2)
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_allclose(first.sum(axis=1), 1.0, rtol=1e-5)


def test_single_batches_fire_no_stage_and_match_the_loops():
    by_fit, by_hand = line(), line()

    history = by_fit.fit(ONES, ONES, batch_size=4, epochs=2, shuffle=False, verbose=0)
    losses = [by_hand.train_on_batch(ONES, ONES) for _ in range(2)]

    assert losses == history.history["loss"]
    assert by_hand.test_on_batch(ONES, ONES, return_dict=True) == {"loss": 0.25}
    np.testing.assert_array_equal(by_hand.predict_on_batch(ONES), by_fit.predict(ONES, verbose=0))


def test_a_callback_can_stop_a_prediction_or_an_evaluation():
    class StopsBoth:
        def on_test_batch_end(self, run):
            run.model.stop_evaluating = True

        def on_predict_batch_end(self, run):
            run.model.stop_predicting = True

    model = classifier()
    model.fit(X, Y, verbose=0)

    assert len(model.predict(X, batch_size=10, verbose=0, callbacks=[StopsBoth()])) == 10
    model.evaluate(X, Y, batch_size=10, verbose=0, callbacks=[StopsBoth()])
    assert len(model.predict(X, batch_size=10, verbose=0)) == 30


def test_fit_does_not_change_the_data():
    x, y = X.copy(), Y.copy()

    classifier(dropout=0.5).fit(x, y, epochs=2, verbose=0)

    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)


def refused(match, error=ValueError, **arguments):
    fired = []

    class Watches:
        def on_train_begin(self):
            fired.append("on_train_begin")

    given = {"x": X, "y": Y, "verbose": 0, "callbacks": [Watches()], **arguments}
    with pytest.raises(error, match=match):
        classifier().fit(**given)
    assert fired == []


BAD = {
    "lengths": (dict(y=Y[:5]), "y must be as long as x, got 5 samples against 30"),
    "label too high": (dict(y=Y + 1), r"y must hold class numbers in \[0, 2\)"),
    "label below zero": (dict(y=Y - 1), r"y must hold class numbers in \[0, 2\)"),
    "no samples": (dict(x=X[:0], y=Y[:0]), "at least one sample"),
    "batch_size": (dict(batch_size=0), "batch_size must be an integer >= 1, got 0"),
    "epochs": (dict(epochs=-1), "epochs must be an integer >= 0, got -1"),
    "split of all": (dict(validation_split=1.0), "validation_split must be a number in "),
    "split below zero": (dict(validation_split=-0.5), "validation_split must be a number in "),
    "both weights": (
        dict(class_weight={0: 1.0}, sample_weight=np.ones(30)),
        "class_weight and sample_weight can't both be given",
    ),
    "verbose": (dict(verbose=3), "verbose must be 0, 1, 2 or 'auto', got 3"),
    "seed": (dict(seed=-1), "seed must be an integer >= 0, got -1"),
    "validation_freq": (dict(validation_freq=0), "validation_freq must be an integer >= 1"),
    "validation lengths": (
        dict(validation_data=(X, Y[:3])),
        "validation_data's y must be as long as validation_data's x",
    ),
    "validation width": (dict(validation_data=(X[:, :3], Y)), "(3)"),
    "validation parts": (dict(validation_data=(X,)), re.escape("validation_data must be (x, y)")),
}


@pytest.mark.parametrize(("arguments", "match"), BAD.values(), ids=BAD)
def test_bad_values_are_refused_before_the_first_stage(arguments, match):
    refused(match, **arguments)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (dict(x=X.astype(str)), "x must be numbers, got strings"),
        (dict(x=X.astype(object)), "x must be numbers, got objects"),
        (dict(x={"a": X}), "x must be one array, got a dict with the keys 'a'"),
        (dict(epochs=2.0), "epochs must be an integer >= 0, got 2.0"),
        (dict(epochs=True), "epochs must be an integer >= 0, got True"),
        (dict(validation_freq=2.0), "validation_freq must be an integer or a list"),
    ],
)
def test_bad_types_are_refused_before_the_first_stage(arguments, match):
    refused(match, TypeError, **arguments)


def test_an_uncompiled_model_is_refused():
    with pytest.raises(ValueError, match=re.escape("You must call compile()")):
        Sequential([layers.Dense(1)]).fit(X, Y, verbose=0)


def test_nan_in_the_data_only_warns():
    x = X.copy()
    x[3, 1] = np.nan

    with pytest.warns(OnstageWarning, match="x holds NaN, first in sample 3"):
        classifier().fit(x, Y, verbose=0)
