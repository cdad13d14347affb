"""LambdaCallback calls its functions in the same stages, with the same values, as Keras's."""

import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

from onstage_lambda_callback import LambdaCallback  # noqa: E402  # after the backend is chosen

from onstage import Sequential, layers  # noqa: E402
from onstage.hookspecs import STAGES  # noqa: E402

X = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
KERNEL, BIAS = np.ones((3, 1), "float32"), np.zeros(1, "float32")

OURS_ALONE = ("on_exception", "on_teardown", "on_optimizer_step_begin")
# In Keras, a function for on_train_batch_… hides that for the alias on_batch_….
HIDDEN_IN_KERAS = ("on_batch_begin", "on_batch_end")


def functions(calls):
    """Return a recording function with Keras's arguments for each common stage."""
    made = {}
    for stage in STAGES:
        if stage in OURS_ALONE + HIDDEN_IN_KERAS:
            continue
        if "batch" in stage:
            made[stage] = lambda batch, logs, stage=stage: calls.append((stage, batch, round_logs(logs)))
        elif "epoch" in stage:
            made[stage] = lambda epoch, logs, stage=stage: calls.append((stage, epoch, round_logs(logs)))
        else:
            made[stage] = lambda logs, stage=stage: calls.append((stage, round_logs(logs)))
    return made


def round_logs(logs):
    return {name: np.round(np.asarray(value), 4).tolist() for name, value in sorted(logs.items())}


def calls_of(library, kind, named):
    calls = []
    callback = kind(**{name: function for name, function in functions(calls).items() if name in named})
    model = library.Sequential([library.layers.Input((3,)), library.layers.Dense(1)])
    model.compile("sgd", loss="mse")
    model.set_weights([KERNEL, BIAS])
    data = {"validation_data": (X[:5], Y[:5]), "shuffle": False}
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[callback], **data)
    model.evaluate(X, Y, batch_size=4, verbose=0, callbacks=[callback])
    model.predict(X, batch_size=4, verbose=0, callbacks=[callback])
    return calls


class Onstage:
    Sequential, layers = Sequential, layers


@pytest.mark.parametrize(
    "named",
    [*([stage] for stage in functions([])), list(functions([]))],
    ids=lambda named: "+".join(named)[:40],
)
def test_functions_are_called_with_the_same_values_as_in_keras(named):
    ours = calls_of(Onstage, LambdaCallback, named)
    theirs = calls_of(keras, keras.callbacks.LambdaCallback, named)

    assert ours == theirs
    assert {call[0] for call in ours} == set(named)


def test_deliberate_difference_a_misspelt_stage_is_an_error():
    keras.callbacks.LambdaCallback(on_epoch_ennd=print)

    with pytest.raises(TypeError, match="did you mean 'on_epoch_end'"):
        LambdaCallback(on_epoch_ennd=print)
