"""Two packages, one with a stage and one that acts in it, from wheels in venvs without the checkout."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from session import Session

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/plugins_on_plugins"

TRAIN = """
import sys
from onstage.testing import replay

result = replay(sys.argv[1:], [{"loss": 0.9}, {"loss": 0.5}, {"loss": 0.7}])
reactions = [plugin.reactions for _, plugin in result.run.bus.plugins() if hasattr(plugin, "reactions")]
print(result.epochs_run, "epochs", *reactions)
print("imported:", "onstage_records" in sys.modules)
"""

pytestmark = pytest.mark.skipif(shutil.which("uv") is None, reason="uv builds and installs here")


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    session = Session(tmp_path_factory.mktemp("plugins"))
    for package in (ROOT / "core", EXAMPLE / "onstage-records", EXAMPLE / "onstage-applause"):
        session.uv("build", "--quiet", "--wheel", "--out-dir", session.wheels, package)
    session.uv("venv", "--quiet", "--python", sys.executable, session.venv)
    session.install("onstage-applause")
    (session.project / "train.py").write_text(TRAIN)
    return session


def test_alone_the_acting_package_stays_silent(session):
    assert session("python", "train.py", "applause") == "3 epochs\nimported: False\n"
    assert "'on_record' is not a stage" in session("onstage", "order", "on_record", fails=True)
    session("python", "-c", "from onstage.testing import check_callback; check_callback('applause')")


def test_then_the_stage_is_installed_and_known_everywhere(session):
    session.install("onstage-records")

    assert session("python", "train.py", "records", "applause") == (
        "Bravo! Epoch 1: 0.9000\nBravo! Epoch 2: 0.5000\n"
        "3 epochs ['applauded', 'applauded']\nimported: True\n"
    )
    ordered = json.loads(session("onstage", "order", "on_record", "records", "applause", "--json"))
    assert ordered == [{"callback": "Applause", "from": "onstage-applause 1.0.0", "why": "given"}]
    listed = session("onstage", "callbacks")
    assert "Stages added by packages:" in listed
    assert "on_record" in listed
    assert json.loads(session("onstage", "callbacks", "applause", "--json"))["stages"] == ["on_record"]
    assert "No problems found." in session("onstage", "doctor")
    session("python", "-c", "from onstage.testing import check_callback; check_callback('applause')")


def test_then_the_package_with_the_stage_is_used_alone(session):
    assert session("python", "train.py", "records") == "3 epochs []\nimported: True\n"
    assert session("python", "train.py") == "3 epochs\nimported: False\n"


def test_then_its_upgrade_with_a_new_argument_breaks_nothing(session, tmp_path):
    newer = shutil.copytree(EXAMPLE / "onstage-records", tmp_path / "newer")
    project, module = newer / "pyproject.toml", newer / "src/onstage_records/__init__.py"
    project.write_text(project.read_text().replace("1.0.0", "1.1.0"))
    module.write_text(
        module.read_text()
        .replace(
            "epoch: int, value: float) -> Any", "epoch: int, value: float, previous: float | None) -> Any"
        )
        .replace("        self.best = value\n", "        previous, self.best = self.best, value\n")
        .replace("value=value)", "value=value, previous=previous)")
    )
    session.install("--upgrade", newer)

    printed = session("python", "train.py", "records", "applause")

    assert printed.startswith("Bravo! Epoch 1: 0.9000\nBravo! Epoch 2: 0.5000\n3 epochs")
    assert json.loads(session("onstage", "callbacks", "records", "--json"))["version"] == "1.1.0"
