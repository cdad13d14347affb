"""The profile of a few batches: Python's own profiler, as a text."""

from __future__ import annotations

import cProfile
import io
import pstats
import sys
import warnings

from onstage.errors import OnstageWarning

_FUNCTIONS = 40


def batch_range(profile_batch: object) -> tuple[int, int]:
    """Read which batches to profile, both ends included; ``(0, 0)`` is none.

    Parameters
    ----------
    profile_batch
        ``0``, ``5``, ``"5"``, ``(5, 8)`` or ``"5,8"``, counted from 1.
    """
    parts = profile_batch.split(",") if isinstance(profile_batch, str) else profile_batch
    ends: list[object] = list(parts) if isinstance(parts, (list, tuple)) else [parts]
    numbers = [number for end in ends if (number := _number(end)) is not None]
    if len(numbers) == len(ends) and len(ends) in (1, 2):
        first, last = numbers[0], numbers[-1]
        if 0 < first <= last or first == last == 0:
            return first, last
    raise ValueError(
        "profile_batch must be 0, a batch counted from 1, or the first and the last of several, "
        f"got {profile_batch!r}; it shows where Python spends its time, in the Text tab: "
        "traces for the Profile tab are not offered"
    )


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


class BatchProfile:
    """Python's profiler, switched on between two stages."""

    def __init__(self) -> None:
        self._profile: cProfile.Profile | None = None

    @property
    def running(self) -> bool:
        """Whether it is on."""
        return self._profile is not None

    def start(self) -> None:
        """Switch it on; warns when another profiler is at work."""
        profile = cProfile.Profile()
        try:
            if sys.getprofile() is not None:
                raise ValueError("sys.setprofile is in use")
            profile.enable()
        except ValueError as error:
            warnings.warn(
                f"profile_batch is left out: another profiler is active ({error})",
                OnstageWarning,
                stacklevel=2,
            )
            return
        self._profile = profile

    def stop(self) -> str:
        """Switch it off; gives the slowest functions, as Markdown."""
        assert self._profile is not None
        self._profile.disable()
        text = io.StringIO()
        stats = pstats.Stats(self._profile, stream=text)
        stats.strip_dirs().sort_stats("tottime").print_stats(_FUNCTIONS)
        self._profile = None
        return f"```\n{text.getvalue().strip()}\n```"

    def __getstate__(self) -> dict[str, None]:
        return {"_profile": None}  # a profiler belongs to its process
