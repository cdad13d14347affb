"""Relative order: a callback that says ``before`` or ``after`` whom it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush

from onstage.registry import _discovery


def order_names(callback: object) -> tuple[str, ...]:
    """Give the names under which others may refer to a callback.

    Its class, and its entry point where it has one.
    """
    entry_point = _discovery.provenance(callback)[0]
    kind = type(callback).__name__
    return (kind,) if entry_point is None else (kind, entry_point)


def sort_callbacks(
    callbacks: Sequence[object], names: Callable[[object], Sequence[str]] = order_names
) -> list[object]:
    """Put callbacks into an order that honours their ``before`` and ``after``.

    List order, but for those that have such an attribute: they move no further
    than they must, to just before or just after the ones that they name. A name
    that no callback here has asks for nothing.

    Parameters
    ----------
    callbacks
        In list order. ``before`` and ``after`` are optional attributes, a name
        or several: of an entry point (``"csv_logger"``) or a class.
    names
        Gives the names of a callback.

    Returns
    -------
    list
        The same objects.

    Raises
    ------
    ValueError
        No order fits; the message names the callbacks of the cycle.
    TypeError
        ``before`` or ``after`` is not a name or a sequence of names.
    """
    wishes = [(_wishes(one, "before"), _wishes(one, "after")) for one in callbacks]
    if not any(before or after for before, after in wishes):
        return list(callbacks)
    followers = _followers([tuple(names(one)) for one in callbacks], wishes)
    _refuse_cycle(callbacks, followers)
    ranks = _ranks(followers, [bool(before) for before, _ in wishes])
    return [callbacks[n] for n in _sorted(followers, ranks)]


def _wishes(callback: object, attribute: str) -> tuple[str, ...]:
    wished = getattr(callback, attribute, ()) or ()
    wished = (wished,) if isinstance(wished, str) else wished
    if not isinstance(wished, (list, tuple, set, frozenset)) or not all(
        isinstance(one, str) for one in wished
    ):
        raise TypeError(
            f"{type(callback).__name__}.{attribute} must be the name of a callback or several, got {wished!r}"
        )
    return tuple(wished)


def _followers(
    names: Sequence[Sequence[str]], wishes: Sequence[tuple[Sequence[str], Sequence[str]]]
) -> list[set[int]]:
    """Give, for each callback, the indices of those that must come later."""
    followers: list[set[int]] = [set() for _ in names]
    for n, (before, after) in enumerate(wishes):
        for other, its_names in enumerate(names):
            if other == n:
                continue
            if not set(before).isdisjoint(its_names):
                followers[n].add(other)
            if not set(after).isdisjoint(its_names):
                followers[other].add(n)
    return followers


def _refuse_cycle(callbacks: Sequence[object], followers: Sequence[set[int]]) -> None:
    done: set[int] = set()

    def visit(n: int, path: list[int]) -> None:
        if n in path:
            cycle = " before ".join(type(callbacks[one]).__name__ for one in [*path[path.index(n) :], n])
            raise ValueError(
                f"before and after must leave the callbacks an order, got the cycle {cycle}; drop one of them"
            )
        if n not in done:
            for follower in sorted(followers[n]):
                visit(follower, [*path, n])
            done.add(n)

    for n in range(len(callbacks)):
        visit(n, [])


def _ranks(followers: Sequence[set[int]], moves_ahead: Sequence[bool]) -> list[tuple[int, int, int]]:
    """Give the places that callbacks would like, as keys to sort by.

    One with ``before`` wants to be just ahead of the first that it must
    precede; the others want their place in the list.
    """
    ranks: dict[int, tuple[int, int, int]] = {}

    def rank(n: int) -> tuple[int, int, int]:
        if n not in ranks:
            wanted = [(n, 0, n)]
            if moves_ahead[n]:
                wanted += [(place, depth - 1, n) for place, depth, _ in map(rank, followers[n])]
            ranks[n] = min(wanted)
        return ranks[n]

    return [rank(n) for n in range(len(followers))]


def _sorted(followers: Sequence[set[int]], ranks: Sequence[tuple[int, int, int]]) -> list[int]:
    waiting_for = [0] * len(followers)
    for later in followers:
        for n in later:
            waiting_for[n] += 1
    ready = [(ranks[n], n) for n, count in enumerate(waiting_for) if not count]
    heapify(ready)
    result = []
    while ready:
        _, n = heappop(ready)
        result.append(n)
        for follower in followers[n]:
            waiting_for[follower] -= 1
            if not waiting_for[follower]:
                heappush(ready, (ranks[follower], follower))
    return result
