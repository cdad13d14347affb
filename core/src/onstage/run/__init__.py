"""The run: where a training is, its loops, and what they fire."""

from onstage.run._session import Run

__all__ = ["Run"]
