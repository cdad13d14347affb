"""Profile of a few batches: the report of Python's own profiler."""

from __future__ import annotations

import cProfile
import io
import pstats
import sys
from typing import Any

from onstage.errors import warn


class BatchProfile:
    """Python's profiler over the batches from `first` to `last`, counted from 1; 0: none."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last
        self._profile: cProfile.Profile | None = None

    def begin(self, batch: int) -> None:
        """Enable the profiler before the first batch; warn if another one is active."""
        if batch != self.first:
            return
        self._profile = cProfile.Profile()
        try:
            if sys.getprofile() is not None:
                raise ValueError("sys.setprofile is in use")
            self._profile.enable()
        except ValueError as error:
            self._profile = None
            problem = f"profile_batch is ignored: another profiler is active ({error})"
            warn(problem)

    def end(self, batch: int) -> str:
        """Return the 40 slowest functions as Markdown after the last batch, else nothing."""
        profile = self._profile
        if profile is None or batch < self.last:
            return ""
        self.stop()
        text = io.StringIO()
        pstats.Stats(profile, stream=text).strip_dirs().sort_stats("tottime").print_stats(40)
        return f"```\n{text.getvalue().strip()}\n```"

    def stop(self) -> None:
        """Disable the profiler if it is enabled."""
        if self._profile is not None:
            self._profile.disable()
            self._profile = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_profile": None}  # a profiler belongs to its process
