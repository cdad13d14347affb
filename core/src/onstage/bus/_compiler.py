"""The compiled call of one stage.

pluggy builds a dict of arguments and a list of results at every call, which
costs about ten times the calls themselves. The set of callbacks hardly ever
changes during a run, so each stage is compiled once into a function that calls
the bound methods one after the other. What such a function can't do (wrappers,
call monitors) goes through pluggy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

from pluggy import HookImpl


class Emit(Protocol):
    """Calls the implementations of one stage; arguments by position, in spec order."""

    reads_logs: bool
    """False when no implementation names ``logs``: they need not be built."""

    def __call__(self, *args: Any) -> None:
        """Call them all, in order."""


Failed = Callable[[HookImpl, BaseException], bool]
"""Told of the error of an implementation; True when the others should go on."""

_FIRST_CALL_LINE = 5


@lru_cache(maxsize=512)
def _builder(spec: tuple[str, ...], calls: tuple[tuple[str, ...], ...]) -> Callable[..., Any]:
    """Write the function; every name in it is an argument of a hook specification.

    One call to a line: the traceback's line then tells which one failed, so
    that nothing has to be counted while all goes well.
    """
    names = ", ".join(f"method{n}" for n in range(len(calls)))
    lines = "".join(f"            method{n}({', '.join(given)})\n" for n, given in enumerate(calls))
    source = f"""def build(methods, failed):
    {names}, = methods
    def emit({", ".join(spec)}):
        try:
{lines}        except BaseException as error:
            if not failed(error, ({", ".join(spec)},)):
                raise
    return emit
"""
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    build: Callable[..., Any] = namespace["build"]
    return build


def compile_stage(
    impls: Sequence[HookImpl],
    spec: tuple[str, ...],
    failed: Failed,
    wrap: Callable[[HookImpl], Callable[..., Any]],
) -> Emit | None:
    """Compile the implementations of one stage into one callable.

    Parameters
    ----------
    impls
        In the order of the calls; no wrappers among them.
    spec
        The argument names of the stage; the callable takes them by position.
    failed
        Called with an implementation and its error.
    prepare
        Gives the function to call for an implementation (its own, or one timed).

    Returns
    -------
    Emit or None
        None when there is nothing to call.
    """
    if not impls:
        return None
    calls = tuple(arguments(impl, spec) for impl in impls)

    def one_failed(error: BaseException, args: tuple[Any, ...]) -> bool:
        assert error.__traceback__ is not None
        at = max(error.__traceback__.tb_lineno - _FIRST_CALL_LINE, 0)
        if not failed(impls[at], error):
            return False
        rest = compile_stage(impls[at + 1 :], spec, failed, wrap)
        if rest is not None:
            rest(*args)
        return True

    function = _builder(spec, calls)([wrap(impl) for impl in impls], one_failed)
    # The interpreter notes in the code which methods it calls: stages that share it spoil each other's notes.
    function.__code__ = function.__code__.replace()
    emit: Emit = function
    emit.reads_logs = any({"logs", "logs=logs"} & set(given) for given in calls)
    return emit


def arguments(impl: HookImpl, spec: tuple[str, ...]) -> tuple[str, ...]:
    """Write the arguments of a call: ``("epoch", "logs")``, ``("logs=logs",)``.

    Those with a default are given too where the stage offers them; behind one
    that it doesn't offer, by keyword.
    """
    given = list(impl.argnames)
    skipped = False
    for name in impl.kwargnames:
        if name in spec:
            given.append(f"{name}={name}" if skipped else name)
        else:
            skipped = True
    return tuple(given)


def fuse(first: Emit | None, second: Emit | None) -> Emit | None:
    """Join two batch stages that fire one after the other with the same arguments."""
    if first is None or second is None:
        return first or second

    def emit(batch: int, logs: Any, run: Any) -> None:
        first(batch, logs, run)
        second(batch, logs, run)

    both: Any = emit
    both.reads_logs = first.reads_logs or second.reads_logs
    fused: Emit = both
    return fused
