"""A resumed run warns if its program differs, and its callbacks are matched by class and options."""

import numpy as np
import pytest

from onstage import Callback, OnstageWarning, Sequential, StateError, layers, optimizers
from onstage.callbacks import BackupAndRestore, CSVLogger, EarlyStopping, ReduceLROnPlateau

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


class Killed(BaseException):
    """Stands for a kill."""


class KillIn(Callback):
    def __init__(self, epoch):
        self.at = epoch

    def on_epoch_begin(self, epoch):
        if epoch == self.at:
            raise Killed


def fit(folder, *callbacks, rate=0.1, loss="mse", x=X, y=Y, batch_size=4, seed=0):
    model = Sequential([layers.Dense(1)], seed=0)
    model.compile(optimizers.SGD(rate), loss)
    backup = BackupAndRestore(folder, delete_checkpoint=False)
    options = {"batch_size": batch_size, "epochs": 3, "seed": seed, "verbose": 0}
    return model.fit(x, y, callbacks=[*callbacks, backup], **options)


def killed_fit(folder, *callbacks):
    with pytest.raises(Killed):
        fit(folder, *callbacks, KillIn(2))


class Counts(Callback):
    def __init__(self, step):
        self.step = step
        self.total = 0

    def on_epoch_end(self):
        self.total += self.step

    def state_dict(self):
        return {"total": self.total}

    def load_state_dict(self, state):
        self.total = state["total"]


@pytest.mark.parametrize("steps", [(1, 10), (10, 1), (5, 1, 10), (5, 10, 1), (10, 5, 1)])
def test_callbacks_of_one_class_keep_their_own_state_if_moved_or_joined_by_others(tmp_path, steps):
    killed_fit(tmp_path, Counts(1), Counts(10))
    resumed = [Counts(step) for step in steps]

    fit(tmp_path, *resumed)

    # Two epochs ran before the kill, one after it; the one with step 5 is new.
    assert [each.total for each in resumed] == [5 if step == 5 else 3 * step for step in steps]


def test_callbacks_with_equal_options_are_matched_in_order(tmp_path):
    class Adds(Counts):
        def __init__(self, own):
            super().__init__(1)
            self._own = own

        def on_epoch_end(self):
            self.total += self._own

    killed_fit(tmp_path, Adds(1), Adds(10))
    resumed = [Adds(1), Adds(10)]

    fit(tmp_path, *resumed)

    assert [each.total for each in resumed] == [3, 30]


def test_a_callback_whose_option_was_changed_keeps_its_state_with_a_warning(tmp_path):
    killed_fit(tmp_path, Counts(1))
    resumed = Counts(10)

    with pytest.warns(OnstageWarning, match="a program that differs: step of Counts is 10, was 1$"):
        fit(tmp_path, resumed)

    assert resumed.total == 12


def test_the_same_program_resumes_without_a_warning(tmp_path):
    def callbacks():
        return EarlyStopping("loss", patience=9), ReduceLROnPlateau("loss"), CSVLogger(tmp_path / "log.csv")

    killed_fit(tmp_path / "backup", *callbacks())

    assert fit(tmp_path / "backup", *callbacks()).epoch == [0, 1, 2]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rate": 0.2}, r"model\.compile\.optimizer\.config\.learning_rate is 0\.2, was 0\.1"),
        ({"loss": "mae"}, r"loss\.class_name is 'MeanAbsoluteError', was 'MeanSquaredError'"),
        ({"seed": 1}, "seed is 1, was 0"),
        ({"x": X + 1}, "data whose first or last sample differs"),
        ({"y": Y + 1}, "data whose first or last sample differs"),
    ],
)
def test_what_differs_is_named(tmp_path, changed, message):
    killed_fit(tmp_path)

    with pytest.warns(OnstageWarning, match=message) as caught:
        fit(tmp_path, **changed)

    assert len(caught) == 1


def test_all_that_differs_is_in_one_warning(tmp_path):
    killed_fit(tmp_path, Counts(1), EarlyStopping("loss", patience=5))

    with pytest.warns(OnstageWarning) as caught:
        fit(tmp_path, EarlyStopping("loss", patience=6), rate=0.2, loss="mae")

    (warning,) = caught
    for part in (
        "patience of EarlyStopping is 6, was 5",
        "learning_rate is 0.2, was 0.1",
        "loss.class_name is 'MeanAbsoluteError'",
        "callback Counts of the saved run is not in this one, its state is left out",
    ):
        assert part in str(warning.message)


def test_another_version_of_a_plugin_is_named(tmp_path, monkeypatch):
    killed_fit(tmp_path, EarlyStopping("loss"))
    from onstage.registry import _discovery

    plain = _discovery.provenance
    monkeypatch.setattr(_discovery, "provenance", lambda plugin: (*plain(plugin)[:2], "9.9"))

    with pytest.warns(OnstageWarning, match=r"version of onstage-early-stopping is '9\.9', was '0\.1\.0'"):
        fit(tmp_path, EarlyStopping("loss"))


@pytest.mark.parametrize("error", [OSError, OverflowError, KeyError, TypeError, IndexError])
def test_any_error_of_a_state_that_does_not_fit_is_a_state_error(tmp_path, error):
    class Refuses(Counts):
        def load_state_dict(self, state):
            raise error("by design")

    Refuses.__name__ = "Counts"
    killed_fit(tmp_path, Counts(1))

    with pytest.raises(StateError, match=f"saved state of callback Counts cannot be used: {error.__name__}"):
        fit(tmp_path, Refuses(1))
