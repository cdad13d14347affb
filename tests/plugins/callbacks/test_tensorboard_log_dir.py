"""TensorBoard refuses a log_dir that cannot be written or is in use, before training."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap

import pytest
from onstage_tensorboard import TensorBoard

from onstage import Callback, Run
from onstage.testing import FakeModel, replay

LOGS = [{"loss": 0.5}, {"loss": 0.25}]


@pytest.fixture
def world_readable():
    """Return a directory that every user may read, and only its owner write."""
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder)


def refused(log_dir):
    """Train, expect the refusal, and return the epochs that began."""
    began = []

    class Begins(Callback):
        def on_epoch_begin(self, epoch):
            began.append(epoch)

    with pytest.raises(
        OSError, match=r"log_dir must be a directory that can be written, got .*use another one"
    ):
        replay([TensorBoard(log_dir), Begins()], LOGS)
    return began


def test_a_directory_that_cannot_be_made_is_refused_at_the_start(tmp_path):
    (tmp_path / "file").write_text("")

    assert refused(tmp_path / "file/logs") == []


def test_a_run_that_is_a_file_is_refused_at_the_start(tmp_path):
    (tmp_path / "validation").write_text("")

    assert refused(tmp_path) == []
    assert os.listdir(tmp_path) == ["validation"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to be another user")
@pytest.mark.parametrize("run", ["", "train", "validation"])
def test_a_read_only_directory_is_refused_at_the_start(world_readable, run):
    folder = os.path.join(world_readable, run)
    os.makedirs(folder, exist_ok=True)
    os.chmod(world_readable, 0o777 if run else 0o755)

    os.seteuid(65534)
    try:
        assert refused(world_readable) == []
    finally:
        os.seteuid(0)

    assert os.listdir(folder) == []


def test_a_read_only_file_system_is_refused_at_the_start():
    if not os.path.isdir("/proc/self"):
        pytest.skip("needs /proc")

    assert refused("/proc/logs") == []


@pytest.mark.filterwarnings("ignore:the training went on without")
def test_after_a_refusal_a_later_error_is_a_warning_again(tmp_path):
    (tmp_path / "train").write_text("")
    board = TensorBoard(tmp_path)
    with pytest.raises(OSError, match=r"log_dir must be"):
        replay(board, LOGS)
    (tmp_path / "train").unlink()

    class Blocks(Callback):
        def on_train_begin(self):
            (tmp_path / "train").write_text("")

    with pytest.warns(UserWarning, match="callback TensorBoard"):
        assert replay([board, Blocks()], LOGS).epochs_run == 2


def test_a_second_training_in_the_same_directory_is_refused(tmp_path):
    with Run(FakeModel(), [TensorBoard(tmp_path)], epochs=1) as run:
        for _ in run.epochs():
            with pytest.raises(
                RuntimeError, match=rf"used by one training at a time.* process {os.getpid()} on "
            ):
                replay(TensorBoard(tmp_path), LOGS)
            with pytest.raises(RuntimeError, match="log_dir"):
                replay([TensorBoard(tmp_path / "other"), TensorBoard(tmp_path / "other")], LOGS)

    replay(TensorBoard(tmp_path), LOGS)
    assert not list(tmp_path.rglob(".lock"))


def test_two_trainings_below_one_directory_do_not_disturb_each_other(tmp_path, tfevents):
    with Run(FakeModel(), [TensorBoard(tmp_path / "a")], epochs=1) as run:
        for _ in run.epochs():
            replay(TensorBoard(tmp_path / "b"), LOGS)
            run.log(loss=1.0)

    assert tfevents.points(tmp_path / "a/train")["epoch_loss"] == [(0, 1.0)]
    assert tfevents.points(tmp_path / "b/train")["epoch_loss"] == [(0, 0.5), (1, 0.25)]


HOLDS = """
    import time
    from onstage import Run
    from onstage_tensorboard import TensorBoard

    with Run(callbacks=[TensorBoard("logs")], epochs=1) as run:
        for _ in run.epochs():
            print("training", flush=True)
            time.sleep(60)
"""


def test_the_directory_of_a_killed_training_is_taken_over(tmp_path):
    program = [sys.executable, "-c", textwrap.dedent(HOLDS)]
    process = subprocess.Popen(program, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "training\n"
        with pytest.raises(RuntimeError, match=rf"log_dir .*process {process.pid} on "):
            replay(TensorBoard(tmp_path / "logs"), LOGS)
        assert (tmp_path / "logs/.lock").exists()
    finally:
        os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        process.wait()
        process.stdout.close()

    assert replay(TensorBoard(tmp_path / "logs"), LOGS).epochs_run == 2


def test_an_evaluation_within_a_training_shares_the_directory(tmp_path, tfevents):
    board = TensorBoard(tmp_path)

    with Run(FakeModel(), [board], epochs=2) as run:
        for _ in run.epochs():
            for _ in run.batches([1.0]):
                run.log(loss=1.0)
            with Run(FakeModel(), [board]) as inner:
                for _ in inner.test_batches([1.0]):
                    inner.log(loss=2.0)
            board.writer.add_scalar("drawn", run.epoch, run.epoch)

    assert [step for step, _ in tfevents.points(tmp_path / "train")["epoch_loss"]] == [0, 1]
    assert [step for step, _ in tfevents.points(tmp_path / "train")["drawn"]] == [0, 1]
    assert len(tfevents.points(tmp_path / "validation")["evaluation_loss_vs_iterations"]) == 2
