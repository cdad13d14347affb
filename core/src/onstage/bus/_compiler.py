"""Compile the calls of one stage into one function.

pluggy builds a dict of arguments and a list of results at every call, which
costs about ten times the calls themselves. Callbacks rarely change during a
run, so each stage is compiled once into a function that calls the bound
methods in order. Wrappers and call monitors still go through pluggy.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, Protocol

from pluggy import HookImpl

from onstage.bus._arguments import arguments_of, method_of


class Emit(Protocol):
    """The compiled call of a stage; takes its arguments by position."""

    reads_logs: bool
    """Whether an implementation reads ``logs``; if not, they need not be computed."""

    def __call__(self, *args: Any) -> None:
        """Call all implementations in order."""


Failed = Callable[[HookImpl, BaseException], bool]
"""Receives the error of an implementation; returns True if the other ones are still called."""

_FIRST_CALL_LINE = 5
_numbers = count()


@lru_cache(maxsize=512)
def _builder(stage: str, spec: tuple[str, ...], calls: tuple[tuple[str, str], ...]) -> Callable[..., Any]:
    """Write and compile the function of a stage, with one call per line.

    The line number in a traceback tells which call failed, so that no counter
    is needed. Tracebacks show the source, which is in `linecache`. Each stage
    has its own code: CPython caches call targets per code object, and stages
    that share one would defeat that cache.

    Parameters
    ----------
    calls
        A unique name for each method, and its arguments as source.
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
    namespace: dict[str, Any] = {"__name__": __name__}  # its frames are ours, see `onstage.errors.warn`
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
        In call order, without wrappers.
    spec
        Names of the arguments of the stage, which the callable takes by position.
    failed
        Called with an implementation and its error.
    wrap
        Returns the function to call for an implementation (its own, or a timed one).

    Returns
    -------
    Emit or None
        None if there is no implementation.
    """
    if not impls:
        return None
    given = [arguments_of(impl, spec) for impl in impls]

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
    emit.reads_logs = any(map(_reads_logs, impls, given))
    return emit


def _reads_logs(impl: HookImpl, given: tuple[str, ...]) -> bool:
    takes = "logs" in given or "logs=logs" in given
    return takes and not getattr(method_of(impl), "_ignores_logs", False)


def _identifier(impl: HookImpl, number: int) -> str:
    """Return the name of a plugin's method in the source: ``EarlyStopping_0``."""
    return f"{_as_identifier(type(impl.plugin).__name__)}_{number}"


@lru_cache(256)
def _as_identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)
