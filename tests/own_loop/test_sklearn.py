"""Built-in callbacks in a loop of scikit-learn's partial_fit."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onstage import ModelView, Run
from onstage.callbacks import BackupAndRestore, EarlyStopping, LearningRateScheduler

pytest.importorskip("sklearn")

EXAMPLE = Path(__file__).parents[2] / "examples/own_loop_sklearn.py"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = (X.sum(1) > 0).astype("int64")


def new_model():
    from sklearn.linear_model import SGDClassifier

    model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.5, shuffle=False)
    return model.partial_fit(X[:1], Y[:1], classes=[0, 1])


def view(model):
    def set_weights(weights):
        model.coef_, model.intercept_ = weights

    def set_state(state):
        set_weights(state["weights"])
        model.t_ = state["t"]

    return ModelView(
        get_weights=lambda: [model.coef_, model.intercept_],
        set_weights=set_weights,
        get_learning_rate=lambda: model.eta0,
        set_learning_rate=lambda rate: model.set_params(eta0=rate),
        get_state=lambda: {"weights": [model.coef_, model.intercept_], "t": model.t_},
        set_state=set_state,
    )


def train(model, callbacks, epochs=4):
    with Run(view(model), callbacks, epochs=epochs) as run:
        for _ in run.epochs():
            for rows in run.batches(np.array_split(np.arange(60), 3)):
                model.partial_fit(X[rows], Y[rows])
                run.log(loss=float(np.square(model.coef_).sum()))
    return run.history


def test_early_stopping_restores_the_weights_of_the_best_epoch():
    # The weights, and with them this loss, grow: the first epoch is the best.
    model, once = new_model(), new_model()
    history = train(model, [EarlyStopping("loss", patience=2, restore_best_weights=True)], epochs=9)
    train(once, [], epochs=1)

    assert history.epoch == [0, 1, 2]
    np.testing.assert_array_equal(model.coef_, once.coef_)
    np.testing.assert_array_equal(model.intercept_, once.intercept_)


def test_a_scheduler_sets_the_rate_of_the_steps():
    scheduled, by_hand = new_model(), new_model()
    train(scheduled, [LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))], epochs=2)
    for rate in (0.1, 0.05):
        by_hand.set_params(eta0=rate)
        for rows in np.array_split(np.arange(60), 3):
            by_hand.partial_fit(X[rows], Y[rows])

    np.testing.assert_array_equal(scheduled.coef_, by_hand.coef_)


class Killed(Exception):
    pass


class Kill:
    def on_epoch_begin(self, epoch):
        if epoch == 2:
            raise Killed


def test_a_training_that_was_killed_continues_to_the_bit(tmp_path):
    whole = new_model()
    history = train(whole, [])
    with pytest.raises(Killed):
        train(new_model(), [BackupAndRestore(tmp_path / "backup"), Kill()])

    resumed = new_model()
    continued = train(resumed, [BackupAndRestore(tmp_path / "backup")])

    assert continued.history == history.history
    np.testing.assert_array_equal(resumed.coef_, whole.coef_)


@pytest.mark.slow
def test_the_example_reaches_its_accuracy(tmp_path):
    command = [sys.executable, "-W", "error", EXAMPLE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)

    assert done.returncode == 0, done.stderr
    assert float(re.search(r"test accuracy (\d\.\d+) on 359 images", done.stdout).group(1)) >= 0.95
    assert "val_loss has not improved" in done.stdout
    assert (tmp_path / "runs/own_loop_sklearn/best.safetensors").stat().st_size > 5_000
