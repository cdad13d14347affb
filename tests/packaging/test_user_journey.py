"""A user's session with plugins, from built wheels in a venv without the checkout.

If ONSTAGE_TRANSCRIPT names a file, the whole session is written there.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from session import Session

import onstage

VERSION = onstage.__version__
ROOT = Path(__file__).parents[2]
THIRD_PARTY = ROOT / "examples/third_party_plugin"

TRAIN = """
import sys
import numpy as np
import onstage

x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
model = onstage.Sequential([onstage.layers.Input((1,)), onstage.layers.Dense(1)])
model.compile(optimizer="sgd", loss="mse")
history = model.fit(
    x, 3 * x, epochs=5, validation_split=0.25, verbose=0, seed=0, callbacks=sys.argv[1:]
)
print(len(history.epoch), "epochs;", history.stop_reason, "by", history.stopped_by)
print(*(f"{one['name']} {one['distribution']} {one['version']}" for one in history.plugins), sep="; ")
"""

pytestmark = pytest.mark.skipif(shutil.which("uv") is None, reason="uv builds and installs here")


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    session = Session(tmp_path_factory.mktemp("journey"))
    for package in (
        ROOT / "core",
        ROOT / "plugins/callbacks/early_stopping",
        ROOT / "plugins/callbacks/csv_logger",
    ):
        session.uv("build", "--quiet", "--wheel", "--out-dir", session.wheels, package)
    session.uv("venv", "--quiet", "--python", sys.executable, session.venv)
    session.install("onstage-early-stopping", "onstage-csv-logger")
    (session.project / "train.py").write_text(TRAIN)
    yield session
    if os.environ.get("ONSTAGE_TRANSCRIPT"):
        Path(os.environ["ONSTAGE_TRANSCRIPT"]).write_text("\n".join(session.lines))


def installed_module(session):
    (found,) = session.venv.glob("lib/python*/site-packages/onstage_time_budget/__init__.py")
    return found


def test_lists_what_is_installed(session):
    printed = session("onstage", "callbacks")

    names = [line.split()[0] for line in printed.splitlines() if "onstage-" in line]
    assert names == ["csv_logger", "early_stopping"]
    assert "No problems found." in session("onstage", "doctor")


def test_then_installs_a_third_party_package_and_finds_it(session):
    session.install(THIRD_PARTY)

    shown = json.loads(session("onstage", "callbacks", "time_budget", "--json"))

    assert (shown["distribution"], shown["version"], shown["status"]) == (
        "onstage-time-budget",
        "1.0.0",
        "installed",
    )
    assert shown["stages"] == ["on_train_begin", "on_epoch_begin", "on_epoch_end"]
    assert [one["name"] for one in shown["options"]] == ["seconds"]
    session("python", "-c", "from onstage.callbacks import TimeBudget; TimeBudget(3)")


def test_then_uses_it_by_name_with_options_from_the_settings(session):
    (session.project / "pyproject.toml").write_text(
        "[tool.onstage]\ncallbacks = [{time_budget = {seconds = 1e-9}}]\n"
    )

    printed = session("python", "train.py", "early_stopping")

    assert printed.startswith("1 epochs; 0 of 0 s spent")
    assert "by TimeBudget" in printed
    assert (
        f"EarlyStopping onstage-early-stopping {VERSION}; TimeBudget onstage-time-budget 1.0.0; History"
        in printed
    )


def test_then_misspells_it_and_is_told_the_right_name(session):
    assert "no callback is called 'time_bugdet'; did you mean 'time_budget'?" in session(
        "python", "train.py", "time_bugdet", fails=True
    )
    (session.project / "pyproject.toml").write_text(
        "[tool.onstage]\ncallbacks = [{time_budget = {second = 5}}]\n"
    )
    printed = session("python", "train.py", fails=True)
    assert "time_budget has no option 'second'; did you mean 'seconds'?" in printed
    assert f"requested by {session.project / 'pyproject.toml'}" in printed
    assert "time_budget has no option 'second'" in session("onstage", "doctor", fails=True)


def test_then_blocks_it_in_the_environment(session):
    (session.project / "pyproject.toml").write_text(
        "[tool.onstage]\ncallbacks = [{time_budget = {seconds = 1e-9}}]\n"
    )

    printed = session("python", "train.py", ONSTAGE_DISABLE="onstage-time-budget")

    assert printed.startswith("5 epochs; None by None")
    assert "TimeBudget" not in printed
    assert "blocked" in session("onstage", "callbacks", ONSTAGE_DISABLE="time_budget")


def test_then_breaks_it_and_training_stops_or_goes_on_as_its_policy_says(session):
    module = installed_module(session)
    module.write_text(module.read_text().replace("took = monotonic() - self._began", "took = 1 / 0"))

    stopped = session("python", "train.py", fails=True)
    assert "ZeroDivisionError: division by zero" in stopped
    assert "TimeBudget (onstage-time-budget 1.0.0)" in stopped
    assert "on_epoch_end, epoch 1" in stopped

    with (session.project / "pyproject.toml").open("a") as file:
        file.write("[tool.onstage.on_error]\ntime_budget = 'disable'\n")
    went_on = session("python", "train.py")
    assert "5 epochs; None by None" in went_on
    assert "OnstageWarning" in went_on
    assert "TimeBudget" in went_on


def test_then_its_import_fails_and_no_other_plugin_is_affected(session):
    installed_module(session).write_text("import sys\nsys.exit('no licence')\n")

    unaffected = session("python", "train.py", "early_stopping", ONSTAGE_DISABLE="time_budget")
    assert f"EarlyStopping onstage-early-stopping {VERSION}; History onstage-core {VERSION}" in unaffected
    used = session("python", "train.py", fails=True)
    assert "callback 'time_budget' of onstage-time-budget 1.0.0 is broken" in used
    assert "SystemExit: no licence" in used
    diagnosed = session("onstage", "doctor", fails=True)
    assert "1 problem:" in diagnosed
    assert [line.split()[-1] for line in diagnosed.splitlines() if "onstage.callbacks" in line] == [
        *("works", "works", "broken"),
    ]


def test_the_tests_of_the_third_party_package_pass(session, tmp_path):
    copy = shutil.copytree(
        THIRD_PARTY, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__", ".*")
    )

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(copy)],
        cwd=copy,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout
