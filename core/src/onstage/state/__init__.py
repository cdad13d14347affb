"""State on disk: files of arrays, atomic writes, and a thread that writes them."""

from onstage.state._tree import copy_state

__all__ = ["copy_state"]
