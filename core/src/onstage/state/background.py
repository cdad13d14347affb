"""Background work: a bounded queue that one thread works off, in order.

`Background` runs a callback's slow jobs, such as writing a file, while training
goes on. The callback copies the data that it needs and submits the rest::

    class Archive(Callback):
        def __init__(self):
            self._writing = Background("archive")

        def on_epoch_end(self, epoch):
            self._writing.submit(storage.save, f"{epoch}.safetensors", self.model.state_dict())

        def on_train_end(self):
            self._writing.flush()  # all files are on disk, or it raises, before fit returns

        def on_teardown(self):
            self._writing.close()

`BackgroundQueue` passes small items, such as the logs of every batch, to one
function, many at once.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

from onstage.validation import validate_int

_T = TypeVar("_T")
_Job: TypeAlias = Callable[[], object]


class BackgroundQueue(Generic[_T]):
    """Bounded queue whose items one thread works off, in order.

    Belongs to one object, and to the thread that calls it. Items must not
    change after they are put. The thread starts with the first item, and again
    with an item after `close`.

    An error of `work` is raised once, by the next call of `put`, `check`,
    `flush` or `close`, with its own traceback. Items that wait meanwhile are
    dropped; items put after the error was raised are worked off.

    Copies, pickles and forked children start empty and without a thread.

    Parameters
    ----------
    name
        Name of the thread; also in the notes of errors.
    work
        Called by the thread with a list of items, oldest first.
    size
        Maximum number of items that wait, at least 1.
    at_once
        Maximum number of items in one call of `work`; `size` by default.
    interval
        Seconds between two calls of `work`, which then get all items put
        meanwhile, or none; a put takes 0.2 µs. None: `work` is called as soon
        as there is an item, and a put that wakes the thread takes about 20 µs.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[list[_T]], object],
        size: int,
        *,
        at_once: int | None = None,
        interval: float | None = None,
    ) -> None:
        self.name = name
        self._work = work
        self._size = validate_int("size", size, 1)
        self._at_once = size if at_once is None else validate_int("at_once", at_once, 1)
        self._interval = interval
        self._reset()

    def _reset(self) -> None:
        self._items: deque[_T] = deque()
        self._failure: list[BaseException] = []
        self._syncs: deque[threading.Event] = deque()
        self._wake, self._room = threading.Event(), threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._process = self._open_in = 0

    def __len__(self) -> int:
        """Return the number of items that wait."""
        return len(self._items)

    @property
    def is_forked(self) -> bool:
        """Whether this process is a fork of the one that runs the thread.

        `work` may hold files or connections that are not the child's to use.
        """
        return self._process not in (0, os.getpid())

    def start(self) -> None:
        """Start the thread, if it does not run yet."""
        earlier = self._own_thread()
        if earlier is not None:
            if not self._closing:
                return
            earlier.join()  # an earlier close was interrupted
            self._raise()
        self._reset()
        self._process = self._open_in = os.getpid()
        # A daemon, so that a program that ends without `close` does not hang.
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def put(self, item: _T, wait: bool = True) -> bool:
        """Add an item, and raise as `check` does.

        If the queue is full, wait for room; or, if not `wait`, return False
        and drop the item.
        """
        if self._open_in != os.getpid():
            self.start()
        if self._failure:
            self.check()
        if 2 * len(self._items) >= self._size and not self._make_room(wait):
            return False
        self._items.append(item)
        if self._interval is None:
            self._wake.set()
        return True

    def _make_room(self, wait: bool) -> bool:
        self._wake.set()  # half full: the thread does not wait for its next look
        while len(self._items) >= self._size:
            if not wait:
                return False
            self._room.clear()
            if len(self._items) >= self._size:  # still, or nothing would set the event
                self._room.wait()
        return True

    def take(self) -> list[_T]:
        """Remove and return the items that wait, at most `at_once`; for use by `work`."""
        items = [self._items.popleft() for _ in range(min(len(self._items), self._at_once))]
        self._room.set()
        return items

    def wake(self) -> None:
        """Call `work` now rather than at the end of the interval."""
        self._wake.set()

    def check(self) -> None:
        """Raise the error of `work`, if there is one, without waiting."""
        if self._failure and self._own_thread() is not None:
            self.sync()  # The waiting items are dropped, which takes no time.
            self._raise()

    def sync(self) -> None:
        """Wait until all items are worked off; do not raise."""
        thread = self._own_thread()
        if thread is not None:
            done = threading.Event()
            self._syncs.append(done)
            self._wake.set()
            while not done.wait(1.0) and thread.is_alive():
                pass

    def flush(self) -> None:
        """Wait until all items are worked off, then raise as `check` does."""
        self.sync()
        self.check()

    def close(self, timeout: float | None = None) -> bool:
        """Wait until all items are worked off, end the thread, then raise as `check` does.

        Return whether the thread has ended within `timeout` seconds; if not,
        call it again to go on waiting.
        """
        thread = self._own_thread()
        if thread is None:
            return True
        self._open_in, self._closing = 0, True
        self._wake.set()
        thread.join(timeout)
        if thread.is_alive():
            return False
        self._thread, self._process = None, 0
        self._raise()
        return True

    def _own_thread(self) -> threading.Thread | None:
        """Return the thread, unless it runs in a parent process."""
        return self._thread if self._process == os.getpid() else None

    def _raise(self) -> None:
        if not self._failure:
            return
        error = self._failure.pop()
        error.add_note(f"raised in the background thread {self.name!r}, by work given earlier")
        try:
            raise error
        finally:
            del error  # Its traceback holds this frame, and the failed items with it.

    # -- the thread

    def _run(self) -> None:
        closing = False
        while not closing:
            self._wake.wait(self._interval)
            self._wake.clear()
            # Read before the items: those put earlier are worked off before the answer.
            closing, syncs = self._closing, [self._syncs.popleft() for _ in range(len(self._syncs))]
            self._work_off()
            for done in syncs:
                done.set()

    def _work_off(self) -> None:
        idle = self._interval is not None
        while self._items or idle:
            idle = False
            items = self.take()
            if not self._failure:
                try:
                    self._work(items)
                except BaseException as error:
                    self._failure.append(error)
            del items  # Free their memory now, not with the next item.

    # -- copies

    def __getstate__(self) -> dict[str, Any]:
        return {name: vars(self)[name] for name in ("name", "_work", "_size", "_at_once", "_interval")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._reset()


class Background(BackgroundQueue[_Job]):
    """Queue whose items are jobs: a thread runs them one after the other.

    A job must not touch data that training changes.

    Parameters
    ----------
    name
        Name of the thread; also in the notes of errors.
    waiting
        Maximum number of jobs that wait while one runs, at least 1: `submit`
        waits for room. It bounds the memory that jobs hold.
    """

    def __init__(self, name: str, waiting: int = 1) -> None:
        super().__init__(name, _run_jobs, validate_int("waiting", waiting, 1), at_once=1)

    @property
    def waiting(self) -> int:
        """Maximum number of jobs that wait while one runs."""
        return self._size

    def submit(self, job: Callable[..., object], *args: Any) -> None:
        """Run ``job(*args)`` after the jobs submitted before."""
        self.put(partial(job, *args))


def _run_jobs(jobs: list[_Job]) -> None:
    for job in jobs:
        job()
