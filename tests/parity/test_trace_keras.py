"""A fit fires the same stages as in Keras, in the same order, with the same logs."""

import functools
import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

from onstage import Sequential, layers, optimizers  # noqa: E402  # after the backend is chosen

RNG = np.random.default_rng(0)
X = RNG.normal(size=(10, 3)).astype("float32")
Y = RNG.normal(size=(10, 1)).astype("float32")
KERNEL = RNG.normal(size=(3, 1)).astype("float32")
BIAS = np.zeros(1, dtype="float32")


def their_model():
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), loss="mse", metrics=["mae"])
    model.set_weights([KERNEL, BIAS])
    return model


def our_model():
    model = Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile(optimizers.SGD(0.1), loss="mse", metrics=["mae"])
    model.set_weights([KERNEL, BIAS])
    return model


class Trace(keras.callbacks.Callback):
    """An unmodified Keras callback, for both trainers."""

    def __init__(self):
        super().__init__()
        self.calls = []


def _record(stage):
    if "batch" in stage:
        return lambda self, batch, logs=None: self.calls.append((stage, batch, dict(logs)))
    if "epoch" in stage:
        return lambda self, epoch, logs=None: self.calls.append((stage, epoch, dict(logs)))
    return lambda self, logs=None: self.calls.append((stage, None, dict(logs)))


for _kind in ("train", "test", "predict"):
    for _end in ("begin", "end"):
        setattr(Trace, f"on_{_kind}_{_end}", _record(f"on_{_kind}_{_end}"))
        setattr(Trace, f"on_{_kind}_batch_{_end}", _record(f"on_{_kind}_batch_{_end}"))
        setattr(Trace, f"on_epoch_{_end}", _record(f"on_epoch_{_end}"))


def traces(act):
    calls = []
    for model in (their_model(), our_model()):
        trace = Trace()
        act(model, trace)
        calls.append(trace.calls)
    return calls


def assert_same(theirs, ours):
    assert [call[:2] for call in ours] == [call[:2] for call in theirs]
    for (stage, index, expected), (_, _, seen) in zip(theirs, ours, strict=True):
        assert set(seen) == set(expected), (stage, index)
        for name, value in expected.items():
            np.testing.assert_allclose(seen[name], value, rtol=1e-5, err_msg=f"{stage} {index} {name}")


FITS = {
    "plain": {},
    "validated": {"validation_data": (X[:5], Y[:5])},
    "split": {"validation_split": 0.25},
    "every second epoch": {"validation_data": (X, Y), "validation_freq": 2},
    "no epoch": {"epochs": 0},
    "initial epoch": {"initial_epoch": 2},
    "steps": {"steps_per_epoch": 2},
    "weighted": {"sample_weight": np.arange(10, dtype="float32")},
}


@pytest.mark.filterwarnings("ignore:.*ran out of data")  # both warn about the 2 + 1 batches
@pytest.mark.parametrize("options", FITS.values(), ids=FITS)
def test_fit_fires_the_stages_of_keras(options):
    arguments = {"batch_size": 4, "epochs": 3, "verbose": 0, "shuffle": False, **options}

    theirs, ours = traces(lambda model, trace: model.fit(X, Y, callbacks=[trace], **arguments))

    assert_same(theirs, ours)


@pytest.mark.parametrize("stage", ["on_train_begin", "on_epoch_begin", "on_train_batch_end", "on_epoch_end"])
def test_a_stop_requested_in_any_stage_fires_the_stages_of_keras(stage):
    def act(model, trace):
        original = getattr(trace, stage)

        @functools.wraps(original)
        def stopping(*args, **kwargs):
            original(*args, **kwargs)
            trace.model.stop_training = True

        setattr(trace, stage, stopping)
        model.fit(
            X, Y, batch_size=4, epochs=3, verbose=0, shuffle=False, validation_split=0.2, callbacks=[trace]
        )

    assert_same(*traces(act))


def test_evaluate_fires_the_stages_of_keras():
    assert_same(
        *traces(lambda model, trace: model.evaluate(X, Y, batch_size=4, verbose=0, callbacks=[trace]))
    )


def test_predict_fires_the_stages_of_keras():
    assert_same(*traces(lambda model, trace: model.predict(X, batch_size=4, verbose=0, callbacks=[trace])))


def test_evaluate_returns_the_values_of_keras():
    theirs, ours = their_model(), our_model()

    for arguments in ({}, {"return_dict": True}, {"steps": 2, "batch_size": 3}):
        expected = theirs.evaluate(X, Y, verbose=0, **arguments)
        seen = ours.evaluate(X, Y, verbose=0, **arguments)
        if isinstance(expected, dict):
            assert seen == pytest.approx({name: float(value) for name, value in expected.items()}, rel=1e-5)
        else:
            np.testing.assert_allclose(seen, expected, rtol=1e-5)


def test_params_include_those_of_keras():
    seen = {}

    class Keeps(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen[type(self.model)] = dict(self.params)

    for model in (their_model(), our_model()):
        model.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[Keeps()])

    theirs, ours = seen.values()
    assert {name: ours[name] for name in theirs} == theirs
    assert ours["batch_size"] == 4
    assert ours["samples"] == 10


def test_losses_recorded_in_on_batch_end_equal_those_of_keras():
    class LossHistory(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.losses = []

        def on_batch_end(self, batch, logs=None):
            self.losses.append(logs["loss"])

    losses = []
    for model in (their_model(), our_model()):
        history = LossHistory()
        model.fit(X, Y, batch_size=4, epochs=3, verbose=0, shuffle=False, callbacks=[history])
        losses.append(history.losses)

    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
