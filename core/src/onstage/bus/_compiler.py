"""The compiled call of one stage.

pluggy builds a dict of arguments and a list of results at every call, which
costs about ten times the calls themselves. The set of callbacks hardly ever
changes during a run, so each stage is compiled once into a function that calls
the bound methods one after the other. What such a function can't do (wrappers,
call monitors) goes through pluggy.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, Protocol

from pluggy import HookImpl


class Emit(Protocol):
    """Calls the implementations of one stage; arguments by position, in spec order."""

    reads_logs: bool
    """False when no implementation names ``logs``: they need not be built."""

    def __call__(self, *args: Any) -> None:
        """Call them all, in order."""


Failed = Callable[[HookImpl, BaseException], bool]
"""Receives the error of an implementation; returns True if the others go on."""

_FIRST_CALL_LINE = 5
_numbers = count()


@lru_cache(maxsize=512)
def _builder(stage: str, spec: tuple[str, ...], calls: tuple[tuple[str, str], ...]) -> Callable[..., Any]:
    """Write the function of a stage, one call to a line.

    The line in a traceback then tells which call failed, so that nothing is
    counted while all goes well. The source is in `linecache`: tracebacks show
    it. Each stage has code of its own, since CPython caches call targets per
    code object, and stages that share one would defeat that cache.

    Parameters
    ----------
    calls
        A name for each method, unique, and its arguments.
    """
    lines = "".join(f"            {name}({given})\n" for name, given in calls)
    source = f"""def build(methods, failed):
    {", ".join(name for name, _ in calls)}, = methods
    def {stage}({", ".join(spec)}):
        try:
{lines}        except BaseException as error:
            if not failed(error, ({", ".join(spec)},)):
                raise
    return {stage}
"""
    filename = f"<onstage {stage} {next(_numbers)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace: dict[str, Any] = {}
    exec(compile(source, filename, "exec"), namespace)
    build: Callable[..., Any] = namespace["build"]
    return build


def compile_stage(
    stage: str,
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
        Names of the stage's arguments; the callable takes them by position.
    failed
        Called with an implementation and its error.
    wrap
        Returns the function to call for an implementation (its own, or a timed one).

    Returns
    -------
    Emit or None
        None if there is nothing to call.
    """
    if not impls:
        return None
    given = [arguments(impl, spec) for impl in impls]

    def one_failed(error: BaseException, args: tuple[Any, ...]) -> bool:
        assert error.__traceback__ is not None
        at = max(error.__traceback__.tb_lineno - _FIRST_CALL_LINE, 0)
        if not failed(impls[at], error):
            return False
        rest = compile_stage(stage, impls[at + 1 :], spec, failed, wrap)
        if rest is not None:
            rest(*args)
        return True

    calls = tuple((_identifier(impl, n), ", ".join(given[n])) for n, impl in enumerate(impls))
    emit: Emit = _builder(stage, spec, calls)([wrap(impl) for impl in impls], one_failed)
    emit.reads_logs = any({"logs", "logs=logs"} & set(each) for each in given)
    return emit


def _identifier(impl: HookImpl, number: int) -> str:
    """Return a name for a plugin's method in the source: ``EarlyStopping_0``."""
    name = re.sub(r"\W", "_", type(impl.plugin).__name__)
    return f"{name}_{number}"


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
