"""TensorBoard's writers are tensorboardX's, for any callback, and without torch."""

import importlib.util
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from onstage_tensorboard import TensorBoard

from onstage import Callback, OnstageWarning, Run
from onstage.testing import FakeModel, replay

LOGS = [{"loss": 0.5, "val_loss": 0.75}, {"loss": 0.25, "val_loss": 0.625}]


class Writes(Callback):
    """Calls a function with the callback's writers and the epoch."""

    def __init__(self, board, write):
        self.board, self.write = board, write

    def on_epoch_end(self, epoch):
        self.write(self.board.writer, self.board.validation_writer, epoch)


def test_the_writers_are_tensorboardx_summary_writers_of_their_runs(tmp_path):
    from tensorboardX import SummaryWriter

    board, found = TensorBoard(tmp_path), []

    replay([board, Writes(board, lambda *writers: found.append(writers))], LOGS)

    train, validation, _ = found[0]
    assert isinstance(train, SummaryWriter)
    assert (train.logdir, validation.logdir) == (str(tmp_path / "train"), str(tmp_path / "validation"))
    assert found[1][:2] == (train, validation)


def test_another_callback_draws_into_the_runs(tmp_path, tfevents):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pytest.importorskip("PIL")
    board = TensorBoard(tmp_path)

    def write(train, validation, epoch):
        figure, axes = pyplot.subplots(figsize=(2, 1), dpi=50)
        axes.plot([0, 1])
        train.add_figure("figure", figure, epoch)
        train.add_image("image", np.zeros((3, 4, 5), np.uint8), epoch)
        train.add_text("text", "**words**", epoch)
        validation.add_pr_curve("curve", np.array([0, 1, 1]), np.array([0.25, 0.5, 0.75]), epoch)
        train.add_custom_scalars({"both": {"losses": ["Multiline", ["batch_loss", "epoch_loss"]]}})

    replay([board, Writes(board, write)], LOGS)

    train = [(tag, step) for tag, step, _ in tfevents.values_of(tmp_path / "train")]
    for tag in ("figure", "image", "text/text_summary"):
        assert [step for name, step in train if name == tag] == [0, 1]
    figure = next(v for tag, _, v in tfevents.values_of(tmp_path / "train") if tag == "figure")
    assert (figure.image.width, figure.image.height) == (100, 50)
    assert [tag for tag, _ in train].count("custom_scalars__config__") == 2
    curves = [value for tag, _, value in tfevents.values_of(tmp_path / "validation") if tag == "curve"]
    assert [value.metadata.plugin_data.plugin_name for value in curves] == ["pr_curves"] * 2


def test_hyperparameters_of_another_callback_have_a_run_of_their_own(tmp_path, tfevents):
    board = TensorBoard(tmp_path)

    class Ends(Callback):
        def on_train_end(self):
            board.writer.add_hparams({"rate": 0.5}, {"best": 0.25}, name="row")

    replay([board, Ends()], LOGS)

    tags = [tag for tag, _, _ in tfevents.values_of(tmp_path / "train/row")]
    assert tags[:3] == [
        f"_hparams_/{part}" for part in ("experiment", "session_start_info", "session_end_info")
    ]
    assert tfevents.points(tmp_path / "train/row") == {"best": [(0, 0.25)]}


def test_a_writer_that_another_callback_closes_goes_on(tmp_path, tfevents):
    board = TensorBoard(tmp_path)

    def write(train, validation, epoch):
        train.add_scalar("drawn", epoch, epoch)
        train.flush()
        assert ("drawn", epoch) in [(tag, step) for tag, step, _ in tfevents.values_of(tmp_path / "train")]
        train.close()

    replay([board, Writes(board, write)], LOGS)

    assert [step for step, _ in tfevents.points(tmp_path / "train")["drawn"]] == [0, 1]
    assert [step for step, _ in tfevents.points(tmp_path / "train")["epoch_loss"]] == [0, 1]


def test_outside_a_run_there_is_no_writer(tmp_path):
    board = TensorBoard(tmp_path)

    with pytest.raises(
        RuntimeError, match="writer must be used during a training or an evaluation; for later"
    ):
        board.writer.add_text("too", "early")
    replay(board, LOGS)
    with pytest.raises(RuntimeError, match="writer must be used"):
        board.validation_writer.add_text("too", "late")


def test_a_prediction_writes_only_through_the_writer(tmp_path, tfevents):
    board = TensorBoard(tmp_path / "logs")

    with Run(FakeModel(), [board]) as run:
        for _ in run.predict_batches([1]):
            assert not (tmp_path / "logs").exists()
            board.writer.add_scalar("predicted", 1.0, 7)

    assert tfevents.points(tmp_path / "logs/train") == {"predicted": [(7, 1.0)]}


@pytest.mark.filterwarnings("ignore:the training went on without")
def test_a_write_error_is_not_raised_in_the_callback_that_uses_the_writer(tmp_path):
    board = TensorBoard(tmp_path)

    class Draws(Callback):
        def on_train_batch_end(self, batch):
            if batch == 0:
                (tmp_path / "validation").write_text("")
            board.validation_writer.add_scalar("drawn", batch, batch)
            board.validation_writer.flush()

    with pytest.warns(OnstageWarning, match=r"callback TensorBoard.*validation") as caught:
        result = replay([board, Draws()], LOGS, batches=5)

    assert result.epochs_run == 2
    assert sum(str(warning.message).startswith("callback TensorBoard") for warning in caught) == 1


def test_a_pickled_one_has_a_writer_too(tmp_path, tfevents):
    board = TensorBoard(tmp_path)
    write = Writes(board, lambda train, _, epoch: train.add_scalar("drawn", epoch, epoch))
    replay([board, write], LOGS)

    write.board = pickle.loads(pickle.dumps(board))
    replay([write.board, write], LOGS)

    assert [step for step, _ in tfevents.points(tmp_path / "train")["drawn"]] == [0, 1, 0, 1]


def test_images_without_pillow_are_refused_at_once(monkeypatch):
    monkeypatch.setattr("onstage_tensorboard.callback.find_spec", lambda name: None)

    with pytest.raises(
        ImportError, match=r'write_images needs Pillow: pip install "onstage-tensorboard\[images\]"'
    ):
        TensorBoard(write_images=True)


# -- tensorboardX without torch

OURS = """
from onstage.testing import replay
from onstage_tensorboard import TensorBoard

class Draws:
    def on_epoch_end(self, epoch):
        board.writer.add_histogram("drawn", [1.0, 2.0], epoch)

board = TensorBoard("ours", histogram_freq=1)
replay([board, Draws()], [{"loss": 1.0}])
"""

THEIRS = """
import tensorboardX
from pathlib import Path

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

    run(OURS, "import sys\nassert 'tensorboardX' in sys.modules", path=folder)

    assert list(tmp_path.glob("ours/train/events*"))


def test_tensorboardx_is_not_imported_before_a_training(run):
    shown = run(
        "from onstage_tensorboard import TensorBoard",
        "TensorBoard('logs', histogram_freq=1, hparams={'n': 1})",
        "import sys",
        "print([name for name in sys.modules if 'tensorboardX' in name or 'google.protobuf' in name])",
    )

    assert shown == "[]\n"


@pytest.mark.parametrize(
    "order", [(OURS, THEIRS), (THEIRS, OURS), (OURS, THEIRS, OURS)], ids=["later", "earlier", "between"]
)
def test_a_program_that_uses_tensorboardx_has_all_of_it_before_and_after(run, order):
    run(*order, THEIRS)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")
def test_tensorboardx_takes_tensors_of_a_program_that_uses_torch_later(run):
    run(OURS, "import tensorboardX", TORCH)


def test_torch_is_found_by_other_threads_meanwhile(run, tmp_path):
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed/torch.py").write_text("found = True\nTensor = object")
    slow = tmp_path / "installed/comet_ml.py"  # which tensorboardX imports if it is there
    slow.write_text(
        "import threading\n"
        "def look():\n    import torch\n    global found\n    found = torch.found\n"
        "thread = threading.Thread(target=look)\nthread.start()\nthread.join()\n"
    )

    run(OURS, "import comet_ml\nassert comet_ml.found", path=tmp_path / "installed")


def test_without_tensorboardx_its_name_is_in_the_error(run):
    hide = """
import sys
class Hides:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'tensorboardX':
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hides())
found = list(sys.meta_path)
try:
    import onstage_tensorboard.writer
except ModuleNotFoundError as error:
    print(error.name)
assert sys.meta_path == found
"""
    assert run(hide) == "tensorboardX\n"
