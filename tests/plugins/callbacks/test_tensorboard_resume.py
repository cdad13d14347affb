"""TensorBoard after a kill: every step is written once."""

import copy
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from onstage_tensorboard import TensorBoard

from onstage import Callback, OnstageWarning, Run, hookimpl
from onstage.testing import FakeModel


class Saves(Callback):
    """Keeps the state after a batch, and raises after a later one."""

    def __init__(self, save_after, die_after):
        self.save_after, self.die_after = save_after, die_after
        self.batches, self.state = 0, None

    @hookimpl(trylast=True)
    def on_train_batch_end(self, run):
        self.batches += 1
        if self.batches == self.save_after:
            self.state = copy.deepcopy(run.state_dict())
        if self.batches == self.die_after:
            raise InterruptedError


class Resumes(Callback):
    def __init__(self, state):
        self.state = state

    def on_train_begin(self, run):
        run.load_state_dict(self.state)


def train(log_dir, *others):
    """Train 3 epochs of 3 batches and a validation; write everything."""
    board = TensorBoard(log_dir, histogram_freq=1, update_freq=1, hparams={"size": 3})
    with Run(FakeModel(), [board, *others], epochs=3) as run:
        for epoch in run.epochs():
            for batch in run.batches([0.0, 1.0, 2.0]):
                run.log(loss=epoch + batch)
            for _ in run.test_batches([0]):
                run.log(loss=-epoch)


def content(tfevents, log_dir):
    """Return the content of the runs, without times."""
    return {
        run: [
            (tag, step, value.SerializeToString())
            for tag, step, value in tfevents.values_of(log_dir / run)
            if not tag.startswith("_hparams_")
        ]
        for run in ("train", "validation")
    }


@pytest.mark.parametrize("save_after", range(1, 10))
def test_a_resumed_run_has_the_files_of_an_uninterrupted_one(tmp_path, save_after, tfevents):
    train(tmp_path / "whole")
    for die_after in range(save_after, 10):
        folder = tmp_path / str(die_after)
        saves = Saves(save_after, die_after)
        with pytest.raises(InterruptedError):
            train(folder, saves)

        train(folder, Resumes(saves.state))

        assert content(tfevents, folder) == content(tfevents, tmp_path / "whole")
        starts = [tag for tag, _, _ in tfevents.values_of(folder) if tag.endswith("session_start_info")]
        assert len(starts) == 1


def test_a_resume_from_the_same_state_twice_repeats_nothing(tmp_path, tfevents):
    saves, again = Saves(2, 5), Saves(-1, 3)
    with pytest.raises(InterruptedError):
        train(tmp_path / "cut", saves)
    with pytest.raises(InterruptedError):
        train(tmp_path / "cut", Resumes(saves.state), again)

    train(tmp_path / "cut", Resumes(saves.state))

    train(tmp_path / "whole")
    assert content(tfevents, tmp_path / "cut") == content(tfevents, tmp_path / "whole")


def test_a_resume_leaves_files_of_other_trainings_alone(tmp_path):
    train(tmp_path)
    others = {path: path.read_bytes() for path in tmp_path.rglob("events*")}
    saves = Saves(2, 5)
    with pytest.raises(InterruptedError):
        train(tmp_path, saves)

    train(tmp_path, Resumes(saves.state))

    assert {path: path.read_bytes() for path in others} == others


def test_a_resume_in_another_directory_warns_of_missing_files(tmp_path, tfevents):
    saves = Saves(2, 5)
    with pytest.raises(InterruptedError):
        train(tmp_path / "one", saves)

    with pytest.warns(OnstageWarning, match="is gone, or shorter"):
        train(tmp_path / "other", Resumes(saves.state))

    assert tfevents.points(tmp_path / "other" / "train")["batch_loss"][0][0] == 3


def test_a_state_cannot_name_files_elsewhere(tmp_path):
    victim = tmp_path / "events.out.tfevents.victim"
    victim.write_bytes(b"precious")
    board = TensorBoard(tmp_path / "logs")
    state = board.state_dict()

    for files in ({"..": {victim.name: 0}}, {"/": {}}):
        state["event_log"]["files"] = files
        with pytest.raises(ValueError, match="must be those of train"):
            board.load_state_dict(state)
    state["event_log"] |= {"files": {"train": {"../../" + victim.name: 0}}}
    with pytest.warns(OnstageWarning, match="is gone"):
        board.load_state_dict(state)
    state["event_log"]["series"] = "*"
    with pytest.raises(ValueError, match="series must be"):
        board.load_state_dict(state)

    assert victim.read_bytes() == b"precious"


KILLED = """
    import os, sys, time
    from onstage import Callback, Run, hookimpl
    from onstage.state import storage
    from onstage.testing import FakeModel
    from onstage_tensorboard import TensorBoard

    class Backup(Callback):
        def on_train_begin(self, run):
            if os.path.exists("backup"):
                run.load_state_dict(storage.load("backup"))

        @hookimpl(trylast=True)
        def on_train_batch_end(self, batch, run):
            if batch % 10 == 9:
                storage.save("backup", run.state_dict())

    with Run(FakeModel(), [TensorBoard("logs", update_freq=1), Backup()], epochs=4) as run:
        for epoch in run.epochs():
            for batch in run.batches(range(50)):
                run.log(loss=float(batch))
                time.sleep(0.001)
                print(epoch * 50 + batch, flush=True)
"""


def test_nothing_is_lost_or_written_twice_over_kills(tmp_path, tfevents):
    program = [sys.executable, "-c", textwrap.dedent(KILLED)]
    kills = 0

    for wait in (17, 70, 33, 1000):
        process = subprocess.Popen(program, cwd=tmp_path, stdout=subprocess.PIPE)
        for _ in range(wait):
            if not process.stdout.readline():
                break
        else:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.stdout.close()
        process.wait()

    assert process.returncode == 0
    assert kills == 3
    assert tfevents.points(tmp_path / "logs/train")["batch_loss"] == [
        (n + 1, pytest.approx((n % 50) / 2)) for n in range(200)
    ]
