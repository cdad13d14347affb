"""Stopping: a request in one process becomes an agreement of all."""

from __future__ import annotations

from onstage_torch.distributed import ProcessGroup


class StopAgreement:
    """Whether to stop; with several processes, whether they have agreed to.

    Parameters
    ----------
    group
        Processes that must stop at the same batch.
    every
        Steps from one agreement to the next; None if only `sync` agrees.

    Attributes
    ----------
    agreed
        Whether to stop now.
    """

    def __init__(self, group: ProcessGroup, every: int | None) -> None:
        self._group = group
        self._every = every
        self._requested = False
        self.agreed = False

    def request(self, stop: bool) -> None:
        """Request a stop, or withdraw the request; alone this decides."""
        self._requested = stop
        if self._group.world == 1 or not stop:
            self.agreed = stop

    def sync(self) -> int | None:
        """Agree with the other processes; return the lowest rank that requests a stop."""
        if self._group.world == 1:
            return None
        rank = self._group.first_rank_stopping(self._requested)
        self.agreed = rank is not None
        return rank

    def after_step(self, number: int) -> None:
        """Agree if it is due after this number of steps."""
        if self._every is not None and number % self._every == 0:
            self.sync()
