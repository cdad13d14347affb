"""TensorBoard takes its messages from tensorboardX, and nothing else that comes with it."""

import importlib.util
import os
import subprocess
import sys

import pytest

OURS = """
from onstage_tensorboard.event_file import EventFile
from onstage_tensorboard.protos import Event
from pathlib import Path

file = EventFile(Path("ours"), "series")
file.append(Event(step=7))
file.flush(to_disk=False)
file.close()
"""

THEIRS = """
import tensorboardX

with tensorboardX.SummaryWriter("theirs") as writer:
    writer.add_scalar("loss", 0.5, 1)
assert tensorboardX.proto.event_pb2.Event(step=7).step == 7
assert any(Path("theirs").iterdir())
"""

TORCH = """
import sys
assert "torch" not in sys.modules
import torch
with tensorboardX.SummaryWriter("theirs") as writer:
    writer.add_histogram("weights", torch.ones(3))
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a program in a process of its own."""

    def program(*parts, path=""):
        environment = {**os.environ, "PYTHONPATH": str(path)}
        done = subprocess.run(
            [sys.executable, "-W", "error::RuntimeWarning", "-c", "\n".join(parts)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return program


def test_torch_is_not_imported_even_if_it_is_installed(run, tmp_path):
    folder = tmp_path / "installed"
    (folder / "torch").mkdir(parents=True)
    (folder / "torch/__init__.py").write_text("raise AssertionError('torch was imported')")
    training = "from onstage.testing import replay\nfrom onstage.callbacks import TensorBoard\n"

    run(OURS, training, "replay(TensorBoard('logs', histogram_freq=0), [{'loss': 1.0}])", path=folder)

    assert list(tmp_path.glob("logs/train/events*"))


def test_nothing_of_tensorboardx_stays_imported(run):
    shown = run(OURS, "import sys\nprint([name for name in sys.modules if 'tensorboardX' in name])")

    assert shown == "[]\n"


@pytest.mark.parametrize(
    "order", [(OURS, THEIRS), (THEIRS, OURS), (OURS, THEIRS, OURS)], ids=["later", "earlier", "between"]
)
def test_a_program_that_uses_tensorboardx_has_all_of_it_before_and_after(run, order):
    order = ["from pathlib import Path", *order]

    run(*order, "import sys\nassert sys.modules['tensorboardX'] is tensorboardX", THEIRS)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")
def test_tensorboardx_takes_tensors_of_a_program_that_uses_torch(run):
    run("from pathlib import Path", OURS, TORCH.replace("import torch", "import torch, tensorboardX"))


def test_without_tensorboardx_its_name_is_in_the_error(run):
    hide = """
import importlib.util, sys
class Hides:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'tensorboardX':
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hides())
try:
    import onstage_tensorboard.protos
except ModuleNotFoundError as error:
    print(error.name)
assert "tensorboardX" not in sys.modules
"""
    assert run(hide) == "tensorboardX\n"
