"""Jobs run in the background, in order, and their errors reach the caller."""

import contextlib
import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
import weakref

import pytest

from onstage import Callback, Run
from onstage.state.background import Background


@pytest.fixture
def work():
    background = Background("some-work")
    yield background
    background.close()


@pytest.fixture
def gate():
    """Block a job that waits for it; opened at the end of the test at the latest."""
    opened = threading.Event()
    yield opened
    opened.set()


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "some-work"]


def fail(message="by design"):
    raise ZeroDivisionError(message)


# ---------------------------------------------------------------- order and thread


def test_jobs_run_in_order_in_a_thread_of_their_own(work):
    done = []

    for n in range(50):
        work.submit(lambda n: done.append((n, threading.current_thread().name)), n)
    work.flush()

    assert done == [(n, "some-work") for n in range(50)]


def test_there_is_no_thread_before_the_first_job_nor_after_close(work):
    work.flush()
    assert not threads()

    work.submit(int)
    assert len(threads()) == 1

    work.close()
    assert not threads()


def test_a_job_after_close_starts_another_thread(work):
    done = []
    work.submit(done.append, 1)
    work.close()

    work.submit(done.append, 2)
    work.close()

    assert done == [1, 2]


def test_close_waits_for_all_jobs(work, gate):
    done = []
    work.submit(gate.wait, 30)
    work.submit(done.append, 1)
    threading.Timer(0.05, gate.set).start()

    work.close()

    assert done == [1]


def test_no_more_jobs_wait_than_allowed(gate):
    work = Background("some-work", waiting=2)
    given = []

    def give():
        work.submit(gate.wait, 30)
        for n in range(4):
            work.submit(int)
            given.append(n)

    giver = threading.Thread(target=give)
    giver.start()
    giver.join(0.2)

    # One runs; two wait, or fewer if the submitting thread was slow.
    assert len(given) <= 2
    assert giver.is_alive()
    gate.set()
    giver.join(30)
    assert given == [0, 1, 2, 3]
    work.close()


@pytest.mark.parametrize(("waiting", "error"), [(0, ValueError), (True, TypeError), (1.5, TypeError)])
def test_waiting_must_be_a_whole_number_of_jobs(waiting, error):
    with pytest.raises(error, match=f"waiting must be an integer >= 1, got {waiting}"):
        Background("some-work", waiting)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("call", ["check", "flush", "close", "submit"])
def test_an_error_is_raised_by_the_next_call_with_its_own_traceback(work, call):
    work.submit(fail)
    work.sync()  # so that check, which does not wait, meets it too

    with pytest.raises(ZeroDivisionError, match="by design") as caught:
        getattr(work, call)(*[int] * (call == "submit"))

    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "fail"
    assert caught.value.__notes__ == ["raised in the background thread 'some-work', by work given earlier"]


def test_an_error_is_raised_once(work):
    work.submit(fail)
    with pytest.raises(ZeroDivisionError):
        work.flush()

    work.check()
    work.flush()
    work.close()


def test_jobs_that_wait_after_a_failed_one_are_dropped_and_later_jobs_run(work, gate):
    done = []

    def fail_when_open():
        gate.wait(30)
        fail()

    work.submit(fail_when_open)
    work.submit(done.append, "waiting")
    gate.set()
    with pytest.raises(ZeroDivisionError):
        work.flush()
    work.submit(done.append, "later")
    work.flush()

    assert done == ["later"]


def test_even_an_exit_in_a_job_is_raised_in_the_caller(work):
    work.submit(sys.exit, "stop")

    with pytest.raises(SystemExit, match="stop"):
        work.flush()
    assert len(threads()) == 1


def test_an_interrupt_ends_the_waiting_and_not_the_job(work, gate):
    done = []
    work.submit(gate.wait, 30)
    work.submit(done.append, 1)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1)

    try:
        with pytest.raises(KeyboardInterrupt):
            work.flush()
    finally:
        signal.signal(signal.SIGALRM, before)
    gate.set()
    work.close()

    assert done == [1]


# ---------------------------------------------------------------- memory


class Large:
    """An object that a job holds."""


def test_the_objects_of_a_job_are_released_when_it_is_done(work):
    large = Large()
    alive = weakref.ref(large)

    work.submit(lambda held: None, large)
    del large
    work.flush()

    assert alive() is None


def test_the_objects_of_a_failed_job_are_released_with_its_error(work):
    large = Large()
    alive = weakref.ref(large)
    gc.disable()  # a cycle would keep it until a collection

    try:
        work.submit(lambda held: fail(), large)
        del large
        with contextlib.suppress(ZeroDivisionError):
            work.flush()

        assert alive() is None
    finally:
        gc.enable()


# ---------------------------------------------------------------- copies and processes


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_starts_without_jobs_and_thread(work, gate, copied):
    work.submit(gate.wait, 30)

    other = copied(work)
    done = []
    other.submit(done.append, 1)
    other.close()

    assert done == [1]
    assert (other.name, other.waiting) == (work.name, work.waiting)
    assert len(threads()) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_waits_for_nothing_and_runs_its_own_jobs(work, gate):
    done = []
    work.submit(gate.wait, 30)
    work.submit(done.append, "of the parent")

    child = os.fork()
    if not child:
        signal.alarm(10)  # a child that hangs must not outlive the test
        work.flush()
        work.close()
        work.submit(done.append, "of the child")
        work.close()
        os._exit(0 if done == ["of the child"] else 1)
    _, status = os.waitpid(child, 0)
    gate.set()
    work.close()

    assert os.waitstatus_to_exitcode(status) == 0
    assert done == ["of the parent"]


def test_a_program_that_never_closes_it_still_ends():
    program = (
        "import threading; from onstage.state.background import Background; "
        "work = Background('some-work'); work.submit(threading.Event().wait)"
    )

    subprocess.run([sys.executable, "-c", program], timeout=30, check=True)


# ---------------------------------------------------------------- in a callback


class Archive(Callback):
    """Writes each epoch's number, slowly."""

    def __init__(self, folder, gate=None):
        self.folder = folder
        self.gate = gate
        self.working = Background("some-work")

    def write(self, epoch):
        if self.gate is not None:
            self.gate.wait(30)
        (self.folder / f"{epoch}").touch()

    def on_epoch_begin(self):
        self.working.check()

    def on_epoch_end(self, epoch):
        self.working.submit(self.write, epoch)

    def on_train_end(self):
        self.working.flush()

    def on_teardown(self):
        self.working.close()


def test_all_jobs_are_done_when_the_run_is_over(tmp_path):
    with Run(callbacks=[Archive(tmp_path)], epochs=20) as run:
        list(run.epochs())

    assert {int(path.name) for path in tmp_path.iterdir()} == set(range(20))
    assert not threads()


def test_an_error_ends_the_training_at_a_later_stage_and_names_the_callback(tmp_path):
    epochs = []

    with (
        pytest.raises(OSError, match="gone") as caught,
        Run(callbacks=[Archive(tmp_path / "gone")], epochs=1000) as run,
    ):
        epochs.extend(run.epochs())

    assert len(epochs) < 1000
    assert "background thread 'some-work'" in caught.value.__notes__[0]
    assert "raised by callback Archive in on_epoch_" in caught.value.__notes__[1]
    assert not threads()


def test_after_another_error_the_submitted_jobs_still_run(tmp_path, gate):
    threading.Timer(0.1, gate.set).start()

    with pytest.raises(ZeroDivisionError), Run(callbacks=[Archive(tmp_path, gate)], epochs=3) as run:
        for epoch in run.epochs():
            if epoch == 1:
                fail()

    assert [path.name for path in tmp_path.iterdir()] == ["0"]
    assert not threads()
