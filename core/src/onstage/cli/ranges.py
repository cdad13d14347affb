"""Whether a version lies in a range such as ``>=0.1,<0.2``."""

from __future__ import annotations

import re
from itertools import zip_longest

_CLAUSE = re.compile(r"(~=|===?|!=|<=|>=|<|>)\s*([0-9][^,\s;)]*)")


def allows(requirement: str, version: str) -> bool:
    """Tell whether a requirement admits a version.

    Parameters
    ----------
    requirement
        As in package metadata: ``onstage-core>=0.1,<0.2; python_version >= "3.11"``.
        What follows ``;`` is not looked at.
    version
        Compared by its numbers alone: 1.0rc1 counts as 1.0, for whoever has
        installed a pre-release means to try it.
    """
    clauses = _CLAUSE.findall(requirement.partition(";")[0])
    return all(_holds(operator, numbers(version), bound) for operator, bound in clauses)


def numbers(version: str) -> tuple[int, ...]:
    """Give the numbers of a version: ``"1.2.0rc1"`` is ``(1, 2, 0)``."""
    release = re.match(r"(?:\d+!)?(\d+(?:\.\d+)*)", version.strip())
    return tuple(map(int, release[1].split("."))) if release else ()


def _holds(operator: str, version: tuple[int, ...], text: str) -> bool:
    bound = numbers(text)
    if text.endswith(".*") or operator == "~=":
        same = version[: len(bound) - (operator == "~=")] == bound[: len(bound) - (operator == "~=")]
        if operator == "~=":
            return same and _compared(version, bound) >= 0
        return same if operator == "==" else not same
    sign = _compared(version, bound)
    return {
        "==": sign == 0,
        "===": sign == 0,
        "!=": sign != 0,
        "<=": sign <= 0,
        ">=": sign >= 0,
        "<": sign < 0,
        ">": sign > 0,
    }[operator]


def _compared(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    for a, b in zip_longest(one, other, fillvalue=0):
        if a != b:
            return 1 if a > b else -1
    return 0
