"""Share the parts of one op between two threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

import numpy as np

from onstage.model import Array

Part = TypeVar("Part")

_CACHED = 2**21
"""Bytes of a buffer's block that an op works on at once."""


def share(work: Callable[[Part, int], None], parts: Sequence[Part]) -> None:
    """Call ``work(part, thread)`` for each part: every second one in another thread.

    The threads are 0 and 1; on one core all parts are done by thread 0. Which
    parts may be done at the same time does not depend on the cores, so that
    results don't either. numpy computes without Python's lock.
    """
    several = len(parts) > 1
    # On one core too: the last bits of a product depend on its threads.
    with _one_blas_thread() if several else nullcontext():
        if several and _cores() > 1:
            _in_two_threads(work, parts)
        else:
            for part in parts:
                work(part, 0)


def _in_two_threads(work: Callable[[Part, int], None], parts: Sequence[Part]) -> None:
    errors: list[BaseException] = []
    handling = np.geterr()

    def others() -> None:
        try:
            with np.errstate(**handling):
                for part in parts[1::2]:
                    work(part, 1)
        except BaseException as error:
            errors.append(error)

    # A thread starts in 50 µs, and unlike a pool survives a fork.
    thread = threading.Thread(target=others, name="onstage-op", daemon=True)
    thread.start()
    try:
        for part in parts[::2]:
            work(part, 0)
    finally:
        thread.join()
    if errors:
        raise errors[0]


def channel_blocks(x: Array) -> list[slice]:
    """Split a channels-first buffer into blocks that stay in a core's cache, for `share`."""
    channels = len(x)
    blocks = min(max(x.nbytes // _CACHED, 1), channels)
    return [slice(channels * n // blocks, channels * (n + 1) // blocks) for n in range(blocks)]


@cache
def _blas() -> Any:
    try:
        return import_module("threadpoolctl").ThreadpoolController().select(user_api="blas")
    except ImportError:
        return None


def _one_blas_thread() -> AbstractContextManager[Any]:
    """Let a product use one thread, if threadpoolctl is installed: two threads of each slow one another."""
    blas = _blas()
    return nullcontext() if blas is None else blas.limit(limits=1)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
