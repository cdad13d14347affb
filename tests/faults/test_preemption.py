"""On SIGTERM the batch is finished, the position saved, and the program still ends by the signal."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
from onstage_backup_and_restore import BackupAndRestore

from onstage import Callback, Interrupted, Run
from onstage.testing import FakeModel

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends signals")

TERMS = int(os.environ.get("ONSTAGE_TERMS", "4"))


@pytest.mark.parametrize("save_freq", ["epoch", pytest.param(7, marks=pytest.mark.slow)])
def test_a_training_preempted_several_times_ends_like_an_uninterrupted_one(
    tmp_path, unkilled, program, seen_of, save_freq
):
    rng = random.Random(0)

    for _ in range(TERMS):
        process = program(tmp_path, save_freq, "--preemption")
        process.stdout.readline()
        time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=20)
        assert process.returncode == -signal.SIGTERM, stderr
    last = program(tmp_path, save_freq, "--preemption")
    _, stderr = last.communicate()

    assert last.returncode == 0, stderr
    assert seen_of(tmp_path) == unkilled


def test_a_preempted_training_loses_no_batch(tmp_path):
    class Sends(Callback):
        def on_batch_begin(self, batch):
            if (self.run.epoch, batch) == (1, 2):
                os.kill(os.getpid(), signal.SIGTERM)

    with quiet_handler() as received, pytest.raises(Interrupted):
        steps(Sends(), BackupAndRestore(tmp_path, save_before_preemption=True))

    assert received == [signal.SIGTERM]
    assert steps(BackupAndRestore(tmp_path)) == [(1, 3), (1, 4), *[(2, batch) for batch in range(5)]]


class quiet_handler:
    """A program's own handler, which records the signal and returns."""

    def __enter__(self):
        self.received = []
        self._before = signal.signal(signal.SIGTERM, self.note)
        return self.received

    def note(self, signum, frame):
        self.received.append(signum)

    def __exit__(self, *error):
        assert signal.getsignal(signal.SIGTERM) == self.note, "the handler must be restored"
        signal.signal(signal.SIGTERM, self._before)


def steps(*callbacks, epochs=3, test=False):
    """Run five batches an epoch; return the ``(epoch, batch)`` pairs that ran."""
    done = []
    with Run(FakeModel(), list(callbacks), epochs=epochs) as run:
        for epoch in run.epochs():
            for _ in run.batches([1.0] * 5):
                done.append((epoch, run.batch))
                run.log(loss=1.0)
            if test:
                for _ in run.test_batches([1.0] * 5):
                    run.log(loss=1.0)
    return done


class StopsOn(Callback):
    """Handles SIGTERM, and sends it at one call of a stage."""

    def __init__(self, stage, call=1):
        self.left = call
        setattr(self, stage, self._send)

    def on_train_begin(self):
        self.run.stop_on_signal(signal.SIGTERM)

    def _send(self):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGTERM)


def stages_after(stage, recording, call=1):
    """Return the stages that fire from a signal in `stage` on, and the Interrupted raised, or None."""
    with quiet_handler() as received:
        try:
            # Before the recording, which then also sees the stage in which the signal came.
            steps(StopsOn(stage, call), recording, epochs=2, test=True)
            ended = None
        except Interrupted as interrupted:
            ended = interrupted
    assert received == [signal.SIGTERM], "the signal must be passed once to the previous handler"
    last = len(recording.stages) - 1 - recording.stages[::-1].index(stage)
    return recording.stages[last:], ended


def test_an_open_batch_ends_but_its_epoch_does_not(recording):
    stages, ended = stages_after("on_train_batch_begin", recording, call=3)

    assert stages == [
        *("on_train_batch_begin", "on_train_batch_end"),
        *("on_exception", "on_teardown"),
    ]
    assert (ended.signum, ended.code) == (signal.SIGTERM, 143)


def test_a_signal_during_the_end_of_a_batch_acts_after_the_next_one(recording):
    stages, _ = stages_after("on_train_batch_end", recording)

    assert stages == ["on_train_batch_end", "on_exception", "on_teardown"]
    assert recording.stages.count("on_train_batch_end") == 2


def test_a_validation_and_its_epoch_are_finished_first(recording):
    stages, _ = stages_after("on_test_begin", recording)

    batch = ["on_test_batch_begin", "on_test_batch_end"]
    assert stages == [
        "on_test_begin",
        *batch * 5,
        "on_test_end",
        "on_epoch_end",
        "on_exception",
        "on_teardown",
    ]


def test_a_signal_between_epochs_acts_after_the_next_batch(recording):
    stages_after("on_epoch_begin", recording, call=2)

    assert recording.stages.count("on_train_batch_end") == 6


def test_a_training_in_its_end_finishes_and_passes_the_signal_on(recording):
    stages, ended = stages_after("on_train_end", recording)

    assert stages == ["on_train_end", "on_teardown"]
    assert ended is None


def test_a_signal_at_the_end_of_the_last_epoch_keeps_the_backup(tmp_path):
    for stage in ("on_epoch_end", "on_train_end"):
        with quiet_handler():
            steps(StopsOn(stage), BackupAndRestore(tmp_path / stage, save_before_preemption=True), epochs=1)

        assert (tmp_path / stage / "backup.safetensors").exists()
        assert steps(BackupAndRestore(tmp_path / stage), epochs=1) == []


def test_nothing_is_saved_after_a_stop_was_requested(tmp_path):
    class StopsFirst(Callback):
        def on_batch_begin(self, batch):
            if batch == 3:
                self.stop("enough")

    with quiet_handler(), pytest.raises(Interrupted):
        steps(
            StopsOn("on_batch_begin", 4),
            StopsFirst(),
            BackupAndRestore(tmp_path, save_before_preemption=True),
        )

    assert steps(StopsFirst(), BackupAndRestore(tmp_path)) == [(0, batch) for batch in range(4)]


def test_an_error_also_restores_the_handler():
    class Breaks(Callback):
        def on_epoch_begin(self):
            self.run.stop_on_signal(signal.SIGTERM, signal.SIGUSR1)
            raise ValueError("by design")

    with quiet_handler() as received, pytest.raises(ValueError, match="by design"):
        steps(Breaks())

    assert received == []
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_two_nested_runs_both_end():
    def inner():
        with Run(FakeModel(), StopsOn("on_batch_begin"), epochs=1) as run:
            for _ in run.epochs():
                for _ in run.batches([1.0] * 5):
                    run.log(loss=1.0)

    class Nested(Callback):
        def on_epoch_begin(self):
            self.run.stop_on_signal(signal.SIGTERM)
            with pytest.raises(Interrupted):
                inner()
            assert self.run.interruption is not None

    with quiet_handler() as received, pytest.raises(Interrupted):
        steps(Nested())

    assert received == [signal.SIGTERM]


def test_a_prediction_loop_ends_too():
    done = []

    with quiet_handler(), pytest.raises(Interrupted), Run() as run:
        run.stop_on_signal(signal.SIGTERM)
        for batch in run.predict_batches(range(5)):
            done.append(batch)
            if batch == 2:
                os.kill(os.getpid(), signal.SIGTERM)

    assert done == [0, 1, 2]


def test_a_signal_that_cannot_be_handled_is_refused():
    with Run() as run:
        with pytest.raises(ValueError, match="signum must be a signal of this system, got 4711"):
            run.stop_on_signal(4711)
        with pytest.raises(ValueError, match="signum must be a signal that can be caught, got SIGKILL"):
            run.stop_on_signal(signal.SIGKILL)
    with pytest.raises(RuntimeError, match="stop_on_signal must be called before the run is over"):
        run.stop_on_signal(signal.SIGTERM)


def test_a_thread_other_than_the_main_one_is_refused(tmp_path):
    caught = []

    def train():
        try:
            steps(BackupAndRestore(tmp_path, save_before_preemption=True))
        except RuntimeError as error:
            caught.append(str(error))

    thread = threading.Thread(target=train, name="worker")
    thread.start()
    thread.join()

    (message,) = caught
    assert message.startswith(
        "stop_on_signal(SIGTERM) must be called in the main thread, got thread 'worker'"
    )


_PROGRAM = """
import os, signal, sys, time
from onstage import Callback, Run

class Sends(Callback):
    def on_train_begin(self):
        if "take" in sys.argv:
            self.run.stop_on_signal(signal.SIGTERM)
    def on_batch_end(self, batch):
        if batch == 1:
            os.kill(os.getpid(), signal.SIGTERM)

if "exits" in sys.argv:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
if "ignores" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "worker" in sys.argv:
    with Run(callbacks=Sends()) as run:
        run.stop_on_signal(signal.SIGTERM)
        ready, tell = os.pipe()
        if (pid := os.fork()) == 0:
            os.write(tell, b"!")  # Python drops signals during a fork
            time.sleep(20)
            os._exit(1)
        os.read(ready, 1)
        os.kill(pid, signal.SIGTERM)
        sys.exit(0 if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM else 1)
with Run(callbacks=Sends(), epochs=3) as run:
    for _ in run.epochs():
        for _ in run.batches(range(5)):
            run.log(loss=1.0)
print("went on")
"""


def _exit_code(*flags):
    done = subprocess.run([sys.executable, "-c", _PROGRAM, *flags], capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("flag", "code"), [("dies", -signal.SIGTERM), ("exits", 3)], ids=["no handler", "a handler that exits"]
)
def test_the_exit_code_is_that_of_a_program_without_stop_on_signal(flag, code):
    assert _exit_code(flag) == _exit_code(flag, "take") == (code, "")


def test_a_program_that_ignores_the_signal_exits_with_143():
    assert _exit_code("ignores") == (0, "went on\n")
    assert _exit_code("ignores", "take") == (143, "")


def test_the_signal_ends_a_forked_worker_at_once():
    assert _exit_code("worker")[0] == 0
