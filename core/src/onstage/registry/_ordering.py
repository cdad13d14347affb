"""Order callbacks by their ``before`` and ``after`` attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush

from onstage.registry import _discovery
from onstage.registry._discovery import AUTOUSE, CALLBACKS


def order_names(callback: object) -> tuple[str, ...]:
    """Return the names by which ``before`` and ``after`` may refer to a callback.

    The name of its class, and its entry point if it has one.
    """
    entry_point = _discovery.provenance(callback)[0]
    kind = type(callback).__name__
    return (kind,) if entry_point is None else (kind, entry_point)


def sort_callbacks(
    callbacks: Sequence[object], names: Callable[[object], Sequence[str]] = order_names
) -> list[object]:
    """Return the callbacks in an order that satisfies their ``before`` and ``after``.

    The order is that of the list, except for callbacks with one of these
    attributes: each moves as little as possible, to directly before or after
    the callbacks that it names. Names that no callback in the list has are
    ignored, unless they are misspelt: a callback may be absent, or not installed.

    Parameters
    ----------
    callbacks
        In list order. ``before`` and ``after`` are optional attributes: one or
        several names of entry points (``"csv_logger"``) or classes.
    names
        Returns the names of a callback.

    Returns
    -------
    list
        The same objects.

    Raises
    ------
    ValueError
        If the constraints form a cycle; the message names its callbacks. If a
        name is almost that of a callback in the list, or of an installed one.
    TypeError
        If ``before`` or ``after`` is not a name or a sequence of names.
    """
    constraints = [(_named(one, "before"), _named(one, "after")) for one in callbacks]
    if not any(before or after for before, after in constraints):
        return list(callbacks)
    own_names = [tuple(names(one)) for one in callbacks]
    _refuse_misspelt(callbacks, constraints, {name for each in own_names for name in each})
    followers = _followers(own_names, constraints)
    sorter = _prepared(callbacks, followers)
    ranks = _ranks(followers, [bool(before) for before, _ in constraints])
    return [callbacks[n] for n in _by_rank(sorter, ranks)]


def _named(callback: object, attribute: str) -> tuple[str, ...]:
    value = getattr(callback, attribute, ()) or ()
    value = (value,) if isinstance(value, str) else value
    if not isinstance(value, (list, tuple, set, frozenset)) or not all(isinstance(one, str) for one in value):
        raise TypeError(
            f"{type(callback).__name__}.{attribute} must be the name of a callback or several, got {value!r}"
        )
    return tuple(value)


def _refuse_misspelt(
    callbacks: Sequence[object],
    constraints: Sequence[tuple[Sequence[str], Sequence[str]]],
    present: Set[str],
) -> None:
    from difflib import get_close_matches  # imported late: most runs have no such names

    installed = [plugin for group in (CALLBACKS, AUTOUSE) for plugin in _discovery.installed(group)]
    known = {*present, *(name for each in installed for name in (each.name, each.attribute) if name)}
    for callback, pair in zip(callbacks, constraints, strict=True):
        for attribute, named in zip(("before", "after"), pair, strict=True):
            for name in {*named} - known:
                # Not did_you_mean: MyEarlyStopping may be a class that is absent from this list.
                close = get_close_matches(name, known, n=1, cutoff=0.8)
                if close and close[0] not in name:
                    raise ValueError(
                        f"{type(callback).__name__}.{attribute} must name callbacks, got {name!r}; "
                        f"did you mean {close[0]!r}?"
                    )


def _followers(
    names: Sequence[Sequence[str]], constraints: Sequence[tuple[Sequence[str], Sequence[str]]]
) -> list[set[int]]:
    """Return, for each callback, the indices of those that must come later."""
    followers: list[set[int]] = [set() for _ in names]
    for n, (before, after) in enumerate(constraints):
        for other, its_names in enumerate(names):
            if other == n:
                continue
            if not set(before).isdisjoint(its_names):
                followers[n].add(other)
            if not set(after).isdisjoint(its_names):
                followers[other].add(n)
    return followers


def _prepared(callbacks: Sequence[object], followers: Sequence[set[int]]) -> TopologicalSorter[int]:
    sorter: TopologicalSorter[int] = TopologicalSorter(dict.fromkeys(range(len(followers)), ()))
    for n, later in enumerate(followers):
        for follower in later:
            sorter.add(follower, n)
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = " before ".join(type(callbacks[n]).__name__ for n in error.args[1])
        raise ValueError(
            f"before and after must leave the callbacks an order, got the cycle {cycle}; drop one of them"
        ) from None
    return sorter


def _ranks(followers: Sequence[set[int]], moves_ahead: Sequence[bool]) -> list[tuple[int, int]]:
    """Return the preferred position of each callback, a sort key that ends in its index.

    A callback with ``before`` prefers to be directly ahead of the first that it
    must precede; the others prefer their position in the list.
    """
    ranks: dict[int, tuple[int, int]] = {}

    def rank(n: int) -> tuple[int, int]:
        if n not in ranks:
            ahead_of = [rank(follower)[0] for follower in followers[n]] if moves_ahead[n] else []
            ranks[n] = min([n, *ahead_of]), n
        return ranks[n]

    return [rank(n) for n in range(len(followers))]


def _by_rank(sorter: TopologicalSorter[int], ranks: Sequence[tuple[int, int]]) -> list[int]:
    """Return the nodes in topological order, the lowest rank first."""
    ready: list[tuple[int, int]] = []
    result = []
    while sorter:
        for n in sorter.get_ready():
            heappush(ready, ranks[n])
        _, n = heappop(ready)
        result.append(n)
        sorter.done(n)
    return result
