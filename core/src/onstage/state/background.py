"""Background: a callback's slow work, in order, off the thread that trains.

For work that nobody waits for, such as writing a file: the callback takes a
copy of what it needs, and hands over the rest::

    class Archive(Callback):
        def __init__(self):
            self._writing = Background("archive")

        def on_epoch_end(self, epoch):
            self._writing.submit(storage.save, f"{epoch}.safetensors", self.model.state_dict())

        def on_train_end(self):
            self._writing.flush()  # all is on disk, or raises, before fit returns

        def on_teardown(self):
            self._writing.close()
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from queue import Queue
from typing import Any, TypeAlias

from onstage.validation import validate_int

_Job: TypeAlias = Callable[[], object]


class Background:
    """Does jobs one after the other, in a thread that the first of them begins.

    Belongs to one callback, and to the thread that calls it. A job must not
    touch what the training goes on to change.

    An error in a job comes out of the next call of any method, once, with its
    own traceback. Jobs behind the one that failed are dropped; those given
    after the error has come out are done.

    A copy, a pickle and a forked child begin with no job and no thread: what was
    given is done where it was given.

    Parameters
    ----------
    name
        Of the thread, and in the notes of errors.
    waiting
        Jobs that wait at most while one is being done, at least 1: `submit` waits
        for room. It bounds the memory of what jobs hold.
    """

    def __init__(self, name: str, waiting: int = 1) -> None:
        self.name = name
        self.waiting = validate_int("waiting", waiting, 1)
        self._process = 0
        self._forget()

    def _forget(self) -> None:
        self._jobs: Queue[_Job | None] = Queue(self.waiting)
        self._failure: list[BaseException] = []
        self._thread: threading.Thread | None = None

    def submit(self, job: Callable[..., object], *args: Any) -> None:
        """Have ``job(*args)`` done behind those given before."""
        self.check()
        if self._own_thread() is None:
            self._begin()
        self._jobs.put(partial(job, *args))

    def _begin(self) -> None:
        self._forget()
        # A daemon: a program that ends without `close` must not hang on it.
        thread = threading.Thread(target=_work, args=(self._jobs, self._failure), name=self.name, daemon=True)
        thread.start()
        self._thread, self._process = thread, os.getpid()

    def check(self) -> None:
        """Raise the error of a job, if there is one; waits for nothing."""
        if self._failure and self._own_thread() is not None:
            self._jobs.join()  # What waits behind it is dropped, which takes no time.
            self._raise()

    def flush(self) -> None:
        """Wait until every job is done; then raise as `check` does."""
        if self._own_thread() is not None:
            self._jobs.join()
            self._raise()

    def close(self) -> None:
        """Wait until every job is done, and end the thread; then raise as `check` does.

        A job that is given later begins another thread.
        """
        thread = self._own_thread()
        if thread is None:
            return
        if thread.is_alive():  # An earlier close may have been interrupted.
            self._jobs.put(None)
        thread.join()
        self._thread = None
        self._raise()

    def _own_thread(self) -> threading.Thread | None:
        """Give the thread, if there is one in this process: a fork copies none."""
        return self._thread if self._process == os.getpid() else None

    def _raise(self) -> None:
        if not self._failure:
            return
        error = self._failure.pop()
        error.add_note(f"in a job of the background thread {self.name!r}, which was given earlier")
        try:
            raise error
        finally:
            del error  # Its traceback holds this frame, and the job's arguments with it.

    def __reduce__(self) -> tuple[type[Background], tuple[str, int]]:
        return type(self), (self.name, self.waiting)


def _work(jobs: Queue[_Job | None], failure: list[BaseException]) -> None:
    while (job := jobs.get()) is not None:
        if not failure:
            try:
                job()
            except BaseException as error:
                failure.append(error)
        job = None  # What it holds is let go now, not when the next one comes.
        jobs.task_done()
