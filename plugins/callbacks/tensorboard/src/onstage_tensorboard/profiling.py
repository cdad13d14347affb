"""Profile of a few batches: the report of Python's own profiler."""

from __future__ import annotations

import cProfile
import io
import pstats
import sys
import warnings

from onstage.errors import OnstageWarning

_FUNCTIONS = 40


def batch_range(profile_batch: object) -> tuple[int, int]:
    """Return the first and last batch to profile; ``(0, 0)`` for none.

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
        "profile_batch must be 0, a batch counted from 1, or a pair of the first and the last batch, "
        f"got {profile_batch!r}; the Text tab shows where Python spends its time: "
        "traces for the Profile tab are not offered"
    )


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


class BatchProfile:
    """Python's profiler, enabled between two stages."""

    def __init__(self) -> None:
        self._profile: cProfile.Profile | None = None

    @property
    def running(self) -> bool:
        """Whether it is enabled."""
        return self._profile is not None

    def start(self) -> None:
        """Enable it; warn if another profiler is active."""
        profile = cProfile.Profile()
        try:
            if sys.getprofile() is not None:
                raise ValueError("sys.setprofile is in use")
            profile.enable()
        except ValueError as error:
            warnings.warn(
                f"profile_batch is ignored: another profiler is active ({error})",
                OnstageWarning,
                stacklevel=2,
            )
            return
        self._profile = profile

    def stop(self) -> str:
        """Disable it, and return the slowest functions as Markdown."""
        assert self._profile is not None
        self._profile.disable()
        text = io.StringIO()
        stats = pstats.Stats(self._profile, stream=text)
        stats.strip_dirs().sort_stats("tottime").print_stats(_FUNCTIONS)
        self._profile = None
        return f"```\n{text.getvalue().strip()}\n```"

    def __getstate__(self) -> dict[str, None]:
        return {"_profile": None}  # a profiler belongs to its process
