"""check_callback: what every callback must stand, whatever it does."""

from __future__ import annotations

import copy
import os
import pickle
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from onstage.bus._manager import Bus
from onstage.callbacks._base import Callback
from onstage.hookspecs import STAGES
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
    """Raised on purpose, in the stage under test."""


def check_callback(callback: Any, *, model: Make = FakeModel) -> None:
    """Put a callback through everything that a host may do to it.

    It fits twice with one instance, for no epochs, without any logs; evaluates
    and predicts; meets an error in every stage and must leave no file and no
    thread open; must save its state to a file and load it; must pickle; must
    refuse unknown arguments. Warnings do not count as failures.

    Parameters
    ----------
    callback
        What makes one: a class, a function without arguments, or a name as in
        ``callbacks=``. Or an object, of which copies are used.
    model
        Makes the model of a run.

    Raises
    ------
    AssertionError
        Lists every check that failed, with the error as its cause.
    """
    make = _maker(callback)
    problems: list[str] = []
    causes = []
    for check in CHECKS:
        try:
            with warnings.catch_warnings():
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
    """Its stages are spelt as the contract has them, with arguments that exist."""
    Bus([make()])


def check_fits_twice(make: Make, model: Make) -> None:
    """One instance serves two trainings."""
    callback = make()
    for _ in range(2):
        replay(callback, _LOGS, model=model(), batches=2)


def check_zero_epochs(make: Make, model: Make) -> None:
    """A training of no epochs is nothing special."""
    replay(make(), [], model=model())


def check_empty_logs(make: Make, model: Make) -> None:
    """A stage without logs is no error; a warning may say what is missing."""
    replay(make(), [{}, {}], model=model())


def check_evaluates_and_predicts(make: Make, model: Make) -> None:
    """It may take part in an evaluation and a prediction."""
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
    """An error in any stage goes through as it is, and leaves no file or thread."""
    replay(make(), _LOGS, model=model())  # what libraries start once for all, starts here
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
    """Give the descriptors of this process and what they lead to."""
    folder = next((name for name in ("/proc/self/fd", "/dev/fd") if os.path.isdir(name)), None)
    found = {}
    for entry in os.listdir(folder) if folder else ():
        try:
            os.fstat(int(entry))
        except OSError:  # the one with which the folder was listed
            continue
        path = os.path.join(folder or "", entry)
        found[int(entry)] = os.readlink(path) if os.path.islink(path) else path
    return found


def check_state_survives_a_file(make: Make, model: Make) -> None:
    """What ``state_dict`` gives can be stored, and loaded into a new instance."""
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
        raise AssertionError(f"{where} is {got!r}, was {wanted!r} when saved")


def check_pickles(make: Make, model: Make) -> None:
    """It can be sent to another process, before a training and after."""
    callback = make()
    replay(pickle.loads(pickle.dumps(callback)), _LOGS, model=model())
    replay(callback, _LOGS, model=model())
    replay(pickle.loads(pickle.dumps(callback)), _LOGS, model=model())


def check_refuses_unknown_arguments(make: Make, model: Make) -> None:
    """A misspelt argument of the constructor is an error that names it."""
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
"""Each takes what makes the callback and what makes the model; raises what it finds."""
