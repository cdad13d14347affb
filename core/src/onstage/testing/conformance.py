"""check_callback: conformance checks for any callback."""

from __future__ import annotations

import copy
import os
import pickle
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from onstage.bus._manager import Bus
from onstage.callbacks._base import Callback
from onstage.hookspecs import STAGES
from onstage.registry._hookspecs import offer
from onstage.registry._selection import resolve
from onstage.run._session import Run
from onstage.state import storage
from onstage.testing.fake_model import FakeModel
from onstage.testing.replay import replay

Make = Callable[[], Any]
Check = Callable[[Make, Make], None]

_LOGS = [
    {"loss": 0.9, "accuracy": 0.2, "val_loss": 1.0, "val_accuracy": 0.1},
    {"loss": 0.5, "accuracy": 0.6, "val_loss": 0.6, "val_accuracy": 0.5},
    {"loss": 0.4, "accuracy": 0.7, "val_loss": 0.8, "val_accuracy": 0.4},
]


class _Deliberate(Exception):
    """Raised deliberately in the stage under test."""


def check_callback(callback: Any, *, model: Make = FakeModel, hookspecs: Any = None) -> None:
    """Check a callback against everything that a trainer may do to it.

    It must work in two trainings with one instance, in zero epochs, without
    logs, in evaluation and prediction; leave no file or thread open after an
    error in any stage; save its state to a file and load it; pickle; and refuse
    unknown arguments. Warnings do not count as failures.

    Parameters
    ----------
    callback
        A class, a function without arguments or a name as in ``callbacks=``,
        each of which makes callbacks; or a callback, which is copied.
    model
        Makes the model of a run.
    hookspecs
        Class or module that specifies stages in which the callback acts; not
        needed for those of an installed package (group ``onstage.hookspecs``).

    Raises
    ------
    AssertionError
        If a check fails; lists all that failed, with the first error as cause.

    Examples
    --------
    >>> from onstage import History
    >>> check_callback(History)
    """
    make = _maker(callback)
    problems: list[str] = []
    causes = []
    for check in CHECKS:
        try:
            with warnings.catch_warnings(), nullcontext() if hookspecs is None else offer(hookspecs):
                warnings.simplefilter("ignore")
                check(make, model)
        except Exception as error:
            problems.append(f"{check.__name__.removeprefix('check_')}: {type(error).__name__}: {error}")
            causes.append(error)
    if problems:
        listed = "\n  ".join(problems)
        raise AssertionError(f"{len(problems)} of {len(CHECKS)} checks failed\n  {listed}") from causes[0]


def _maker(callback: Any) -> Make:
    if isinstance(callback, (str, dict)):
        return lambda: resolve([callback])[0]
    if isinstance(callback, type) or (callable(callback) and not isinstance(callback, Callback)):
        return callback
    return lambda: copy.deepcopy(callback)


def check_registers(make: Make, model: Make) -> None:
    """Check that the names of its stages and arguments exist."""
    Bus([make()])


def check_fits_twice(make: Make, model: Make) -> None:
    """Check that one instance works in two trainings."""
    callback = make()
    for _ in range(2):
        replay(callback, _LOGS, model=model(), batches=2)


def check_zero_epochs(make: Make, model: Make) -> None:
    """Check that it works in a training of zero epochs."""
    replay(make(), [], model=model())


def check_empty_logs(make: Make, model: Make) -> None:
    """Check that stages with empty logs raise no error; warnings are allowed."""
    replay(make(), [{}, {}], model=model())


def check_evaluates_and_predicts(make: Make, model: Make) -> None:
    """Check that it works in an evaluation and a prediction."""
    batch = (np.ones((1, 2), np.float32), np.ones((1, 1), np.float32), None)
    callback = make()
    with Run(model(), [callback]) as run:
        for _ in run.test_batches([batch]):
            run.log(loss=0.5, samples=1)
    with Run(model(), [callback]) as run:
        for _ in run.predict_batches([batch]):
            run.log(outputs=np.zeros((1, 1)), samples=1)


_NOT_REPLAYED = ("on_exception", "on_teardown", "on_optimizer_step_begin")


def check_leaves_nothing_open(make: Make, model: Make) -> None:
    """Check that an error in any stage is raised unchanged and leaves no file or thread."""
    replay(make(), _LOGS, model=model())  # let libraries start their permanent threads first
    for stage in STAGES:
        if stage in _NOT_REPLAYED or "predict" in stage:
            continue
        for ahead in (True, False):
            with _nothing_left_open(f"after an error in {stage}"):
                _fails_in(stage, make(), model(), ahead)


def _fails_in(stage: str, callback: Any, model: Any, ahead: bool) -> None:
    bomb = type("Bomb", (), {stage: _raise})()
    try:
        replay([bomb, callback] if ahead else [callback, bomb], _LOGS, model=model, batches=2)
    except _Deliberate:
        return
    except Exception as error:
        raise AssertionError(f"the error in {stage} was replaced by {error!r}") from error
    raise AssertionError(f"the error in {stage} was swallowed")


def _raise(self: object) -> None:
    raise _Deliberate


@contextmanager
def _nothing_left_open(when: str) -> Iterator[None]:
    before, threads = _open_files(), set(threading.enumerate())
    yield
    left = {number: path for number, path in _open_files().items() if number not in before}
    if left:
        raise AssertionError(f"files left open {when}: {sorted(left.values())}")
    if started := set(threading.enumerate()) - threads:
        raise AssertionError(f"threads left running {when}: {sorted(one.name for one in started)}")


def _open_files() -> dict[int, str]:
    """Return a dict from the descriptors of this process to their targets."""
    folder = next((name for name in ("/proc/self/fd", "/dev/fd") if os.path.isdir(name)), None)
    found = {}
    for entry in os.listdir(folder) if folder else ():
        try:
            os.fstat(int(entry))
        except OSError:  # the descriptor that listed the folder
            continue
        path = os.path.join(folder or "", entry)
        found[int(entry)] = os.readlink(path) if os.path.islink(path) else path
    return found


def check_state_survives_a_file(make: Make, model: Make) -> None:
    """Check that ``state_dict()`` can be saved, and loaded into a new instance."""
    trained = make()
    if not hasattr(trained, "state_dict"):
        return
    replay(trained, _LOGS, model=model(), batches=2)
    with tempfile.TemporaryDirectory() as folder:
        storage.save(Path(folder) / "state", trained.state_dict())
        state = storage.load(Path(folder) / "state")

    class Resumes(Callback):
        def on_train_begin(self) -> None:
            resumed.load_state_dict(copy.deepcopy(state))
            _same(resumed.state_dict(), state, "state_dict() after load_state_dict()")

    resumed = make()
    replay([resumed, Resumes()], _LOGS, model=model(), initial_epoch=len(_LOGS))


def _same(got: Any, wanted: Any, where: str) -> None:
    if isinstance(wanted, dict) and isinstance(got, dict) and got.keys() == wanted.keys():
        for key in wanted:
            _same(got[key], wanted[key], f"{where}[{key!r}]")
    elif isinstance(wanted, (list, tuple)) and isinstance(got, (list, tuple)) and len(got) == len(wanted):
        for n, (one, other) in enumerate(zip(got, wanted, strict=True)):
            _same(one, other, f"{where}[{n}]")
    elif isinstance(wanted, (np.ndarray, float, int)) and isinstance(
        got, (np.ndarray, np.generic, float, int)
    ):
        np.testing.assert_array_equal(got, wanted, err_msg=where)
    elif got != wanted:
        raise AssertionError(f"{where} must be {wanted!r} as saved, got {got!r}")


def check_pickles(make: Make, model: Make) -> None:
    """Check that it pickles, before a training and after."""
    callback = make()
    replay(pickle.loads(pickle.dumps(callback)), _LOGS, model=model())
    replay(callback, _LOGS, model=model())
    replay(pickle.loads(pickle.dumps(callback)), _LOGS, model=model())


def check_refuses_unknown_arguments(make: Make, model: Make) -> None:
    """Check that an unknown argument of the constructor raises a TypeError that names it."""
    kind = type(make())
    try:
        kind(no_such_argument=1)
    except TypeError as error:
        if "no_such_argument" not in str(error) and "takes no arguments" not in str(error):
            raise AssertionError(f"{kind.__name__}(no_such_argument=1) gave {error}") from error
        return
    raise AssertionError(f"{kind.__name__}(no_such_argument=1) was accepted")


CHECKS: tuple[Check, ...] = (
    check_registers,
    check_fits_twice,
    check_zero_epochs,
    check_empty_logs,
    check_evaluates_and_predicts,
    check_leaves_nothing_open,
    check_state_survives_a_file,
    check_pickles,
    check_refuses_unknown_arguments,
)
"""Each takes a function that makes the callback and one that makes the model, and raises on failure."""
