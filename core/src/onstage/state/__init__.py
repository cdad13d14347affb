"""State on disk: files of arrays, atomic writes, background queues."""

from onstage.state._tree import copy_state

__all__ = ["copy_state"]
