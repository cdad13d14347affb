"""The compiled call of one stage.

pluggy builds a dict of arguments and a list of results at every call, which
costs about ten times the calls themselves. The set of callbacks hardly ever
changes during a run, so each stage is compiled once into a loop over bound
methods. What such a loop can't do (wrappers, call monitors) goes through pluggy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import groupby
from operator import length_hint
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

# The iterator outlives the error, so the loop can go on behind the one that
# failed, and what is left in it tells which one that was.
_LOOP = """
        pending = iter(methods{n})
        while True:
            try:
                for method in pending:
                    method({given})
                break
            except BaseException as error:
                if not failed(impls{n}[~length_hint(pending)], error):
                    raise
"""


@lru_cache(maxsize=256)
def _builder(spec: tuple[str, ...], signatures: tuple[tuple[str, ...], ...]) -> Callable[..., Any]:
    """Write the loops; every name in them is an argument of a hook specification."""
    loops = "".join(_LOOP.format(n=n, given=", ".join(given)) for n, given in enumerate(signatures))
    unpack = "".join(f"\n    impls{n}, methods{n} = groups[{n}]" for n in range(len(signatures)))
    source = f"def build(groups, failed):{unpack}\n    def emit({', '.join(spec)}):{loops}\n    return emit"
    namespace: dict[str, Any] = {"length_hint": length_hint}
    exec(source, namespace)
    build: Callable[..., Any] = namespace["build"]
    return build


def compile_stage(
    impls: Sequence[HookImpl],
    spec: tuple[str, ...],
    failed: Failed,
    prepare: Callable[[HookImpl], Callable[..., Any]],
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
    groups: list[tuple[tuple[HookImpl, ...], tuple[Callable[..., Any], ...]]] = []
    signatures: list[tuple[str, ...]] = []
    for signature, members in groupby(impls, lambda impl: arguments(impl, spec)):
        group = tuple(members)
        groups.append((group, tuple(prepare(impl) for impl in group)))
        signatures.append(signature)
    emit: Emit = _builder(spec, tuple(signatures))(groups, failed)
    emit.reads_logs = any({"logs", "logs=logs"} & set(signature) for signature in signatures)
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


def twin(first: Emit | None, second: Emit | None) -> Emit | None:
    """Join two batch stages that fire one after the other with the same arguments."""
    if first is None or second is None:
        return first or second

    def emit(batch: int, logs: Any, run: Any) -> None:
        first(batch, logs, run)
        second(batch, logs, run)

    both: Any = emit
    both.reads_logs = first.reads_logs or second.reads_logs
    joined: Emit = both
    return joined
