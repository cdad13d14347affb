"""Modules are imported only when they are needed."""

import json
import os
import subprocess
import sys

import pytest

SLOW = (
    *("importlib.metadata", "email", "socket", "tomllib", "difflib"),
    *("html", "http", "multiprocessing", "asyncio"),
)
"""Modules of the standard library that a plain training does not need."""

MODEL = """
import numpy as np
from onstage import Sequential, layers
model = Sequential([layers.Input((3,)), layers.Dense(2)], seed=0)
model.compile("sgd", "mse", metrics=["mae"])
x, y = np.ones((8, 3), np.float32), np.zeros((8, 2), np.float32)
"""


@pytest.fixture(scope="module")
def run_in(tmp_path_factory):
    """Return a function that runs a program in its own process and returns the modules it imported."""
    folder = tmp_path_factory.mktemp("project")
    report = (
        "import json, sys\n"
        "print(json.dumps([name for name in sys.modules if getattr(sys.modules[name], '__spec__', None)]))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONSTAGE_")}

    def run(program):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", f"{program}\n{report}"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return set(json.loads(done.stdout.splitlines()[-1]))

    return run


@pytest.fixture(scope="module")
def imported(run_in):
    """Return `run_in`, without the modules that start-up files of the environment import."""
    bare = run_in("")
    return lambda program: run_in(program) - bare


def third_parties(modules):
    """Return the packages outside the standard library and the core."""
    return {name.partition(".")[0] for name in modules} - sys.stdlib_module_names - {"onstage"}


def plugins(modules):
    return {name for name in third_parties(modules) if name.startswith("onstage_")}


def test_import_onstage_imports_no_other_module(imported):
    modules = imported("import onstage")

    assert {name for name in modules if name.partition(".")[0] == "onstage"} == {"onstage"}
    assert third_parties(modules) == set()
    assert modules.isdisjoint(SLOW)


def test_the_base_of_callbacks_needs_neither_pluggy_nor_a_plugin(imported):
    modules = imported("from onstage import Callback")

    assert third_parties(modules) <= {"numpy"}


def test_a_model_and_its_layers_need_only_numpy_and_pluggy(imported):
    modules = imported("from onstage import Sequential, layers")

    assert third_parties(modules) == {"numpy", "pluggy"}
    assert modules.isdisjoint(SLOW)


def test_a_silent_training_imports_no_plugin_and_nothing_slow(imported):
    modules = imported(MODEL + "model.fit(x, y, epochs=2, verbose=0, validation_split=0.5)")

    assert third_parties(modules) == {"numpy", "pluggy"}
    assert modules.isdisjoint(SLOW)


def test_a_line_for_each_epoch_imports_only_the_progress_bar(imported):
    modules = imported(MODEL + "model.fit(x, y, epochs=2, verbose=2)")

    assert third_parties(modules) == {
        "numpy",
        "pluggy",
        "onstage_progbar_logger",
    }


def test_a_callback_by_name_imports_only_its_own_plugin(imported):
    modules = imported(
        MODEL + "model.fit(x, y, verbose=0, callbacks={'early_stopping': {'monitor': 'loss'}})"
    )

    assert plugins(modules) == {"onstage_early_stopping"}


@pytest.mark.parametrize(
    ("made", "library"),
    [
        ("TensorBoard('logs')", "tensorboardX"),
        ("RemoteMonitor()", "requests"),
    ],
)
def test_constructing_a_callback_does_not_import_its_library(imported, made, library):
    module = made.partition("(")[0]
    modules = imported(f"from onstage.callbacks import {module}\ncallback = {made}")

    assert len(plugins(modules)) == 1
    assert library not in third_parties(modules)


def test_tensorboard_imports_its_library_when_it_trains(imported):
    training = "model.fit(x, y, verbose=0, callbacks={'tensorboard': {'log_dir': 'logs'}})"

    modules = third_parties(imported(MODEL + training))

    assert "google_crc32c" in modules
    assert "torch" not in modules


def test_matplotlib_is_never_imported(imported):
    modules = imported("from onstage import *\nimport onstage.callbacks, onstage.testing")

    assert "matplotlib" not in third_parties(modules)
