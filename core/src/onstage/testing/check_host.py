"""check_host: conformance checks for an adapter, in real trainings of its host."""

from __future__ import annotations

from collections.abc import Callable

from onstage.testing.check_host_decisions import DECISION_CHECKS
from onstage.testing.check_host_errors import ERROR_CHECKS
from onstage.testing.check_host_trace import TRACE_CHECKS
from onstage.testing.check_host_training import MakeTraining

HostCheck = Callable[[MakeTraining], None]


def check_host(make_training: MakeTraining) -> None:
    """Check an adapter against everything that callbacks may expect of a trainer.

    Stages, numbers and logs are those of ``fit``; a callback can stop, set the
    learning rate, swap and restore the weights; errors come out unchanged; needs
    that the host lacks are refused. Each check runs short trainings. What the
    `HostTraining` does not have is left out.

    Parameters
    ----------
    make_training
        Makes a training of the host with an adapter around given callbacks; see
        `MakeTraining`.

    Raises
    ------
    AssertionError
        If a check fails; lists all that failed, with the first error as cause.
    """
    problems: list[str] = []
    causes = []
    for check in HOST_CHECKS:
        try:
            check(make_training)
        except Exception as error:
            problems.append(f"{check.__name__.removeprefix('check_')}: {type(error).__name__}: {error}")
            causes.append(error)
    if problems:
        listed = "\n  ".join(problems)
        raise AssertionError(f"{len(problems)} of {len(HOST_CHECKS)} checks failed\n  {listed}") from causes[
            0
        ]


HOST_CHECKS: tuple[HostCheck, ...] = (*TRACE_CHECKS, *DECISION_CHECKS, *ERROR_CHECKS)
"""Each takes a function that makes a training, and raises on failure."""
