"""A queue passes many items at once to one function, in order, and loses none silently."""

import copy
import os
import pickle
import signal
import threading
import time

import pytest

from onstage.state.background import BackgroundQueue


@pytest.fixture
def calls():
    """Collect the arguments of `work`, one list for each call."""
    return []


@pytest.fixture
def make(calls):
    """Make queues of which each is closed at the end of the test."""
    made = []

    def make(work=calls.append, size=100, **options):
        made.append(BackgroundQueue("some-queue", work, size, **options))
        return made[-1]

    yield make
    for queue in made:
        queue.close()


class Gate:
    """Work that waits until it is opened."""

    def __init__(self):
        self.calls, self.begun, self.opened = [], threading.Event(), threading.Event()

    def __call__(self, items):
        self.begun.set()
        assert self.opened.wait(30)
        self.calls.append(items)


def flat(calls):
    return [item for items in calls for item in items]


def test_items_put_while_work_is_busy_come_in_one_call(make):
    gate = Gate()
    queue = make(gate)

    queue.put(0)
    assert gate.begun.wait(30)
    for n in range(1, 20):
        queue.put(n)
    gate.opened.set()
    queue.flush()

    assert gate.calls == [[0], list(range(1, 20))]


def test_no_call_gets_more_items_than_at_once(make, calls):
    queue = make(at_once=3, interval=60)
    for n in range(8):
        queue.put(n)

    queue.flush()

    assert calls == [[0, 1, 2], [3, 4, 5], [6, 7]]


def test_a_queue_with_an_interval_collects_items_and_calls_work_without_any(make, calls):
    queue = make(interval=0.01)
    queue.start()

    while not calls:
        time.sleep(0.005)
    queue.put(1)
    queue.flush()

    assert calls[0] == []
    assert flat(calls) == [1]


def test_a_long_interval_delays_neither_flush_nor_close_nor_a_queue_that_is_half_full(make, calls):
    queue = make(interval=600, size=10)
    queue.put(1)
    queue.flush()
    for n in range(2, 30):
        queue.put(n)
    queue.wake()
    queue.close()

    assert flat(calls) == list(range(1, 30))


def test_a_full_queue_refuses_an_item_that_does_not_wait(make):
    gate = Gate()
    queue = make(gate, size=2)
    queue.put(0)
    assert gate.begun.wait(30)

    added = [queue.put(n, wait=False) for n in (1, 2, 3)]
    gate.opened.set()
    queue.flush()

    assert added == [True, True, False]
    assert flat(gate.calls) == [0, 1, 2]


def test_work_can_take_the_items_that_came_meanwhile(make):
    taken, begun, more = [], threading.Event(), threading.Event()

    def work(items):
        begun.set()
        more.wait(30)
        taken.append((items, queue.take(), len(queue)))

    queue = make(work)
    queue.put(1)
    assert begun.wait(30)
    queue.put(2)
    queue.put(3)
    more.set()
    queue.flush()

    assert taken == [([1], [2, 3], 0)]


def test_sync_waits_and_leaves_the_error_to_the_next_call(make, calls):
    def work(items):
        calls.append(items)
        raise ZeroDivisionError("by design")

    queue = make(work)
    queue.put(1)
    queue.sync()

    with pytest.raises(ZeroDivisionError, match="by design") as caught:
        queue.put(2)
    assert caught.value.__notes__ == ["raised in the background thread 'some-queue', by work given earlier"]
    queue.close()  # the error was raised once
    assert flat(calls) == [1]


def test_close_with_a_timeout_can_be_called_until_the_thread_has_ended(make):
    gate = Gate()
    queue = make(gate)
    queue.put(1)

    assert queue.close(timeout=0.01) is False
    gate.opened.set()
    assert queue.close() is True
    assert gate.calls == [[1]]


def test_an_item_put_after_a_close_that_timed_out_is_worked_off_after_the_others(make):
    gate = Gate()
    queue = make(gate)
    queue.put(1)
    queue.close(timeout=0.01)
    threading.Timer(0.05, gate.opened.set).start()

    queue.put(2)
    queue.close()

    assert gate.calls == [[1], [2]]


class Owner:
    """Holds a queue that calls one of its methods."""

    def __init__(self):
        self.done = []
        self.queue = BackgroundQueue("some-queue", self.work, 5, interval=0.01)

    def work(self, items):
        self.done += items


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_the_queue_of_a_copied_object_calls_the_copy(copied):
    owner = Owner()
    owner.queue.put(1)

    other = copied(owner)
    other.done.clear()
    other.queue.put(2)
    other.queue.close()
    owner.queue.close()

    assert (owner.done, other.done) == ([1], [2])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_knows_that_the_thread_is_its_parents(make, calls):
    queue = make(interval=60)
    before = queue.is_forked
    queue.put("parent's")

    child = os.fork()
    if not child:
        signal.alarm(10)  # a child that hangs must not outlive the test
        queue.sync()
        os._exit(0 if queue.is_forked and queue.close() and not calls else 1)
    _, status = os.waitpid(child, 0)
    queue.close()

    assert os.waitstatus_to_exitcode(status) == 0
    assert (before, queue.is_forked) == (False, False)
    assert flat(calls) == ["parent's"]


@pytest.mark.parametrize("options", [{"size": 0}, {"at_once": 0}])
def test_sizes_must_be_positive(make, options):
    (name,) = options
    with pytest.raises(ValueError, match=f"{name} must be an integer >= 1, got 0"):
        make(**options)
