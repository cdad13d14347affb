"""Checks of an adapter's errors: unchanged, told once, refused before the training."""

from __future__ import annotations

import signal
from typing import Any

from onstage.callbacks._base import Callback
from onstage.errors import PluginError
from onstage.testing.check_host_training import MakeTraining
from onstage.testing.recorder import Recorder


class _Deliberate(Exception):
    """Raised deliberately, in a callback or in the host."""


def _raising(stage: str, error: Exception) -> Callback:
    def fail(self: Any) -> None:
        raise error

    callback: Callback = type("Raises", (Callback,), {stage: fail, "optional": ("batches",)})()
    return callback


def check_errors_of_callbacks(make: MakeTraining) -> None:
    """Check that an error in any stage of a callback comes out of the training unchanged."""
    recorder = Recorder()
    make([recorder], epochs=1).run()
    for stage in dict.fromkeys(recorder.stages):
        if stage != "on_teardown":
            error = _Deliberate(stage)
            seen = Recorder()
            _check_error(make([seen, _raising(stage, error)], epochs=1).run, error, seen, f"in {stage}")


def check_errors_of_the_host(make: MakeTraining) -> None:
    """Check that an error in the host's own step is told to the callbacks."""
    for error in (_Deliberate("in the step"), KeyboardInterrupt()):
        seen = Recorder()
        training = make([seen], epochs=2, error=error)
        if isinstance(error, KeyboardInterrupt) and training.interrupt_stops:
            training.run()
            if seen.stages[-2:] != ["on_train_end", "on_teardown"] or "on_exception" in seen.stages:
                raise AssertionError(f"Ctrl-C must end the training as a stop does, got {seen.stages}")
            continue
        _check_error(training.run, error, seen, "in the host's step")


def _check_error(run: Any, error: BaseException, seen: Recorder, where: str) -> None:
    on_ctrl_c = signal.getsignal(signal.SIGINT)
    try:
        run()
    except BaseException as raised:
        # A host may end the program after Ctrl-C.
        same = raised is error or (isinstance(error, KeyboardInterrupt) and isinstance(raised, SystemExit))
        if not same:
            raise AssertionError(f"an error {where} must be raised unchanged, got {raised!r}") from raised
    else:
        raise AssertionError(f"an error {where} must be raised, the training went on")
    finally:
        signal.signal(signal.SIGINT, on_ctrl_c)  # a host may ignore Ctrl-C while it ends
    ends = [stage for stage in seen.stages if stage in ("on_exception", "on_teardown")]
    if ends != ["on_exception", "on_teardown"]:
        raise AssertionError(
            f"after an error {where}, on_exception and on_teardown must fire once, got {ends}"
        )


class _Needs(Callback):
    needs = ("a_need_of_this_check",)


def check_refuses_a_need(make: MakeTraining) -> None:
    """Check that a callback with a need that the host lacks is refused before the first epoch."""
    seen = Recorder()
    training = make([seen, _Needs()], epochs=1)
    try:
        training.run()
    except TypeError as error:
        missing = [
            part for part in ("_Needs", _Needs.needs[0], training.adapter.host) if part not in str(error)
        ]
        if missing:
            raise AssertionError(f"the refusal must name {missing}, got: {error}") from error
        if "on_epoch_begin" in seen.stages:
            raise AssertionError("a need must be refused before the first epoch") from error
        return
    raise AssertionError("a callback with a need that the host lacks must be refused with a TypeError")


def check_refuses_a_misspelt_name(make: MakeTraining) -> None:
    """Check that a callback that is not installed is refused when the adapter is made."""
    try:
        make(["no_such_callback"], epochs=1)
    except PluginError:
        return
    raise AssertionError("a name that is not installed must be refused when the adapter is made")


ERROR_CHECKS = (
    check_errors_of_callbacks,
    check_errors_of_the_host,
    check_refuses_a_need,
    check_refuses_a_misspelt_name,
)
