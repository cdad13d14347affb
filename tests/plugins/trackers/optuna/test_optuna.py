"""A study of onstage trainings equals the study of plain loops that prune as Optuna's tutorial does."""

import subprocess
import sys

import numpy as np
import pytest

from onstage import Sequential, layers
from onstage.callbacks import CSVLogger, Optuna
from onstage.testing import CHECKS, FakeModel, replay

optuna = pytest.importorskip("optuna")
optuna.logging.set_verbosity(optuna.logging.WARNING)

X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
Y = (X.sum(axis=1, keepdims=True)).astype("float32")


def new_study(storage=None, direction="minimize"):
    return optuna.create_study(
        storage=storage,
        study_name="tests",
        direction=direction,
        sampler=optuna.samplers.RandomSampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=1),
    )


def new_model(trial):
    network = Sequential([layers.Dense(1)], seed=0)
    network.compile("sgd", loss="mse")
    network.learning_rate = trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True)
    return network


def fit(trial, epochs=6, **options):
    return new_model(trial).fit(
        X, Y, epochs=epochs, batch_size=16, shuffle=False, validation_split=0.25, verbose=0, **options
    )


def with_callback(trial):
    return fit(trial, callbacks=[Optuna(trial, "val_loss")]).history["val_loss"][-1]


def plain_loop(trial):
    network = new_model(trial)
    for epoch in range(6):
        (loss,) = network.fit(
            X, Y, epochs=1, batch_size=16, shuffle=False, validation_split=0.25, verbose=0
        ).history["val_loss"]
        trial.report(loss, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return loss


def read_back(study):
    return [(one.state.name, one.value, one.intermediate_values, one.params) for one in study.trials]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_the_study_is_that_of_a_plain_loop(kind, tmp_path):
    def address(name):
        return None if kind == "memory" else f"sqlite:///{tmp_path}/{name}.db"

    ours, plain = new_study(address("ours")), new_study(address("plain"))
    ours.optimize(with_callback, n_trials=12)
    plain.optimize(plain_loop, n_trials=12)
    if kind == "sqlite":
        ours = optuna.load_study(study_name="tests", storage=address("ours"))

    states = [state for state, *_ in read_back(ours)]
    assert {"PRUNED", "COMPLETE"} == set(states)
    assert read_back(ours) == read_back(plain)


class Prunes(optuna.pruners.BasePruner):
    """Prunes from a step on."""

    def __init__(self, step):
        self.step = step

    def prune(self, study, trial):
        return trial.last_step >= self.step


def pruned_trial(step=1):
    return optuna.create_study(pruner=Prunes(step)).ask()


def test_a_pruned_training_stops_with_a_reason_and_raises_at_its_end(tmp_path):
    trial = pruned_trial()
    table = CSVLogger(tmp_path / "log.csv")

    class Ends:
        ended = torn_down = False

        def on_train_end(self):
            self.ended = True

        def on_exception(self, exception):
            raise AssertionError("a pruned training is no failed one")

        def on_teardown(self, run):
            self.torn_down, self.history = True, run.history

    ahead, behind = Ends(), Ends()
    with pytest.raises(optuna.TrialPruned, match=r"trial 0 was pruned at val_loss 0\.5"):
        replay([ahead, Optuna(trial), table, behind], [{"loss": 1.0, "val_loss": 0.5}] * 5)

    for one in (ahead, behind):
        assert (one.ended, one.torn_down) == (True, True)
    assert ahead.history.epoch == [0, 1]
    assert ahead.history.stopped_by == "Optuna"
    assert "pruned" in ahead.history.stop_reason
    assert (tmp_path / "log.csv").read_text().count("\n") == 3


def test_without_raise_pruned_the_objective_decides():
    callback = Optuna(pruned_trial(), "loss", raise_pruned=False)

    result = replay(callback, [{"loss": 1.0}] * 5)

    assert callback.pruned
    assert result.epochs_run == 2


def test_another_error_is_not_replaced():
    class Fails:
        def on_train_end(self):
            raise ValueError("disk full")

    with pytest.raises(ValueError, match="disk full"):
        replay([Optuna(pruned_trial(), "loss"), Fails()], [{"loss": 1.0}] * 3)


@pytest.mark.filterwarnings("ignore:All-NaN slice")  # Optuna's own
def test_a_metric_that_diverges_is_pruned_as_by_optuna():
    study = new_study()
    for _ in range(3):
        trial = study.ask()
        replay(Optuna(trial, "loss"), [{"loss": 1.0}] * 4)
        study.tell(trial, 1.0)

    with pytest.raises(optuna.TrialPruned):
        replay(Optuna(study.ask(), "loss"), [{"loss": float("nan")}] * 4)


def test_a_misspelt_monitor_is_refused_before_training():
    trial = pruned_trial()

    with pytest.raises(ValueError, match="did you mean 'val_loss'"):
        fit(trial, callbacks=[Optuna(trial, "val_los")])


@pytest.mark.parametrize("trial", [3, None, optuna.create_study])
def test_the_trial_is_the_argument_of_the_objective(trial):
    with pytest.raises(
        TypeError, match=r"trial must be an optuna\.Trial, the argument of the objective, got "
    ):
        Optuna(trial)


def test_a_name_alone_has_no_trial():
    with pytest.raises(TypeError, match=r"optuna needs the option 'trial'; write Optuna\(trial=\.\.\.\)"):
        fit(pruned_trial(), callbacks=["optuna"])


def test_a_trial_can_be_an_option_of_the_name():
    with pytest.raises(optuna.TrialPruned, match=r"trial 0 was pruned at val_loss"):
        fit(trial := pruned_trial(), callbacks=[{"optuna": {"trial": trial}}])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(check):
    check(lambda **options: Optuna(pruned_trial(99), "loss", **options), FakeModel)


def test_optuna_is_not_imported_by_the_callback():
    program = "import sys; from onstage.callbacks import Optuna; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
