"""Warnings carry the line of the user's program, not one inside onstage."""

import inspect
import io
import warnings
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from onstage import Callback, OnstageWarning, Run, Sequential, layers
from onstage.callbacks import EarlyStopping
from onstage.reporting import print_line

X = np.ones((8, 2), "float32")
Y = np.ones((8, 1), "float32")


def compiled():
    model = Sequential([layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    return model


def warned(match, action):
    """Return the source line at which `action` warned, which must be of this file."""
    with pytest.warns(OnstageWarning, match=match) as caught:
        action()

    found = next(one for one in caught if one.category is OnstageWarning and match in str(one.message))
    assert found.filename == __file__
    return Path(__file__).read_text().splitlines()[found.lineno - 1].strip()


def test_that_the_data_have_ended():
    def train():
        compiled().fit(iter([(X, Y)]), epochs=3, verbose=0)

    assert warned("ran out of data", train) == "compiled().fit(iter([(X, Y)]), epochs=3, verbose=0)"


def test_that_a_generator_ends_within_an_epoch():
    def train():
        compiled().fit(iter([(X, Y)]), epochs=1, steps_per_epoch=2, verbose=0)

    assert warned("ran out of data", train).startswith("compiled().fit(")


def test_that_data_hold_nan():
    def train():
        compiled().fit(X * np.nan, Y, verbose=0)

    assert warned("holds NaN", train) == "compiled().fit(X * np.nan, Y, verbose=0)"


class Fails(Callback):
    on_error = "disable"

    def on_epoch_end(self):
        raise ValueError("boom")


@pytest.mark.filterwarnings("ignore::onstage.OnstageWarning")
@pytest.mark.parametrize("match", ["failed in on_epoch_end", "went on without: Fails"])
def test_that_a_callback_takes_no_further_part(match):
    def train():
        compiled().fit(X, Y, verbose=0, callbacks=[Fails()])

    assert warned(match, train) == "compiled().fit(X, Y, verbose=0, callbacks=[Fails()])"


def test_that_a_monitor_is_missing_in_a_custom_loop():
    def train():
        with Run(callbacks=[EarlyStopping("val_los", mode="min")]) as run:
            for _ in run.epochs():
                run.log(loss=1.0)

    assert warned("not in the logs", train) == "for _ in run.epochs():"


def test_that_a_callback_of_the_settings_fails(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("pyproject.toml").write_text(
        '[tool.onstage]\ncallbacks = [{csv_logger = {filename = "folder"}}]\n[tool.onstage.on_error]\n'
        'csv_logger = "disable"\n'
    )

    def train():
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the training went on without")
            compiled().fit(X, Y, verbose=0)

    assert warned("CSVLogger", train) == "compiled().fit(X, Y, verbose=0)"


def test_that_a_callback_is_blocked(monkeypatch):
    monkeypatch.setenv("ONSTAGE_DISABLE", "early_stopping")

    def make():
        Run(callbacks=["early_stopping"])

    assert warned("is left out", make) == 'Run(callbacks=["early_stopping"])'


def test_a_warning_from_a_thread_has_the_line_in_onstage():
    closed = io.StringIO()
    closed.close()

    with pytest.warns(OnstageWarning, match="can't be printed") as caught:
        thread = Thread(target=print_line, args=("text", closed))
        thread.start()
        thread.join()

    assert caught[0].filename == inspect.getfile(print_line)
