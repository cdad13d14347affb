"""Cases in which onstage once silently differed from Keras, by name."""

import homes
import numpy as np
import pytest
from programs import Make, Phase, Program
from training import differences, make, run

import onstage

keras = pytest.importorskip("keras")
# Keras's own conversion of a torch tensor to numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RNG = np.random.default_rng(0)
X, Y, WEIGHTS = RNG.normal(size=(20, 3)), RNG.integers(2, size=(20, 1)).astype(float), RNG.random(20)
BATCH = {"batch_size": 6}


def layer(kind, **options):
    return Make("layers", kind, options)


def metric(kind, **options):
    return Make("metrics", kind, options)


DENSE = [layer("Dense", units=4, activation="tanh"), layer("Dense", units=1, activation="sigmoid")]
PENALIZED = [
    layer("Dense", units=4, activation="tanh", kernel_regularizer="l2", bias_regularizer="l1"),
    layer("BatchNormalization", gamma_regularizer="l2"),
    layer("Dense", units=1, activation="sigmoid", kernel_regularizer="l1"),
]
ADAM = Make("optimizers", "Adam", {"learning_rate": 0.05})
MOMENTUM = Make("optimizers", "SGD", {"learning_rate": 0.1, "momentum": 0.9, "global_clipnorm": 0.1})
VALIDATED = {**BATCH, "validation_data": (X, Y)}


def training(*phases, layers=DENSE, optimizer=ADAM, metrics=(), weighted=(), **calls):
    return Program(
        7, (3,), layers, "binary_crossentropy", optimizer, list(metrics), list(weighted), X, Y, WEIGHTS,
        list(phases), **calls,
    )  # fmt: skip


def frozen(layers, *numbers):
    return [
        each._replace(options=each.options | {"trainable": number not in numbers})
        for number, each in enumerate(layers)
    ]


FIT = Phase({}, "new", BATCH)
CASES = {
    "steps_per_epoch cuts the data": training(
        Phase({}, "new", {"steps_per_epoch": 4, "epochs": 2}),
        evaluate={"steps": 3},
        predict={"steps": 2},
    ),
    "validation_steps cut the validation's data": training(
        Phase({}, "new", {"validation_data": (X, Y, WEIGHTS), "validation_steps": 3, "steps_per_epoch": 2})
    ),
    "validation_steps with a batch size": training(Phase({}, "new", VALIDATED | {"validation_steps": 2})),
    "more steps than rows": training(
        Phase({}, "new", {"steps_per_epoch": 13, "epochs": 2}), predict={"steps": 30}
    ),
    "penalties of frozen layers": training(
        Phase({}, "new", VALIDATED), layers=frozen(PENALIZED, 0, 1), evaluate=BATCH
    ),
    "penalties of what is frozen later": training(
        Phase({}, "new", VALIDATED), Phase({2: False}, None, VALIDATED), layers=PENALIZED
    ),
    "frozen after compile": training(FIT, Phase({0: False}, None, BATCH)),
    "frozen before the first fit": training(Phase({0: False}, "new", BATCH), optimizer=MOMENTUM),
    "frozen and released": training(
        FIT, Phase({0: False}, None, BATCH), Phase({0: True}, None, BATCH), optimizer=MOMENTUM
    ),
    "released and compiled again": training(
        FIT, Phase({0: True}, "new", BATCH), layers=frozen(DENSE, 0), optimizer=MOMENTUM
    ),
    "frozen and compiled with the same optimizer": training(
        FIT, Phase({0: False}, "same", BATCH), optimizer=MOMENTUM
    ),
    "all frozen counts no step": training(
        FIT, Phase({0: False, 1: False}, None, BATCH), Phase({1: True}, None, BATCH)
    ),
    "batch normalization frozen after compile": training(
        Phase({}, "new", VALIDATED),
        Phase({1: False}, None, VALIDATED),
        Phase({1: True}, None, VALIDATED),
        layers=PENALIZED,
    ),
    "recall in both lists": training(FIT, metrics=[metric("Recall")], weighted=[metric("Recall")]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_training_equals_keras(name):
    with homes.float64():
        expected = run(CASES[name], homes.keras())

    assert differences(run(CASES[name], homes.onstage()), expected) == []


RECALL, MEAN, NAMED = metric("Recall"), metric("MeanSquaredError"), metric("Recall", name="mine")
LISTS = [
    (["recall", "mse"], ["recall", "mse"]),
    ([RECALL], [RECALL]),
    ([MEAN, metric("F1Score")], [MEAN, metric("F1Score")]),
    ([metric("AUC"), metric("Precision")], [metric("AUC"), metric("Precision")]),
    ([RECALL, RECALL], []),
    ([], [RECALL, RECALL]),
    ([MEAN, MEAN], [MEAN, MEAN]),
    ([NAMED, NAMED], [NAMED, NAMED]),
    ([metric("Recall", name="recall")], [RECALL]),
    ([RECALL], [metric("Recall", name="recall")]),
    (["recall"], [RECALL]),
    (["recall", RECALL], []),
    ([RECALL], ["recall"]),
    ([RECALL, RECALL], ["recall", "recall"]),
    (["recall", "recall", "recall"], ["recall", "recall"]),
    ([RECALL, metric("Precision"), RECALL], [metric("Precision"), RECALL]),
    ([Make("losses", "MeanSquaredError", {})], [Make("losses", "MeanSquaredError", {})]),
    (["accuracy", "acc"], ["accuracy"]),
]


@pytest.mark.parametrize(("metrics", "weighted"), LISTS)
def test_metrics_have_the_names_of_keras(metrics, weighted):
    names = []
    for home in (homes.onstage(), homes.keras()):
        home.count_names_anew()
        model = home.sequential([home.layers.Input((3,)), home.layers.Dense(1, activation="sigmoid")])
        lists = [[make(each, home) for each in given] for given in (metrics, weighted)]
        model.compile("sgd", "mse", metrics=lists[0], weighted_metrics=lists[1])
        names.append(set(model.evaluate(X, Y, verbose=0, return_dict=True)))

    assert names[0] == names[1]


def test_functions_have_the_names_of_keras():
    def error(y_true, y_pred):
        return (y_true - y_pred)[:, 0] ** 2

    names = []
    for home in (homes.onstage(), homes.keras()):
        model = home.sequential([home.layers.Input((3,)), home.layers.Dense(1)])
        model.compile("sgd", "mse", metrics=[error, error], weighted_metrics=[error, error])
        names.append(set(model.evaluate(X, Y, verbose=0, return_dict=True)))

    assert names[0] == names[1]


def test_a_layer_is_frozen_within_a_fit_as_in_keras():
    weights = []
    for home, base in ((homes.onstage(), onstage.Callback), (homes.keras(), keras.callbacks.Callback)):

        class Freeze(base):
            def on_train_batch_begin(self, batch, logs=None):
                self.model.layers[1].trainable = batch != 2

            def on_epoch_begin(self, epoch, logs=None):
                self.model.layers[0].trainable = epoch != 1

        with homes.float64():
            model = home.sequential([home.layers.Input((3,)), *(make(each, home) for each in PENALIZED)])
            rng = np.random.default_rng(3)
            model.set_weights([rng.random(np.shape(each)) for each in model.get_weights()])
            model.compile(make(MOMENTUM, home), "mse")
            model.fit(X, Y, batch_size=4, epochs=3, shuffle=False, verbose=0, callbacks=[Freeze()])
        weights.append(model.get_weights())

    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
