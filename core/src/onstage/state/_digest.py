"""Digest: a sha256 of large pieces, computed in a thread beside their reading or writing."""

from __future__ import annotations

import hashlib
from queue import SimpleQueue
from threading import Thread

_LARGE = 2**20
"""Bytes from which a piece is worth a thread."""


class Digest:
    """A sha256 of pieces, which must not change until `hexdigest`.

    hashlib computes without Python's lock, so the disk and the processor work
    at the same time.
    """

    def __init__(self, begin: bytes) -> None:
        self._digest = hashlib.sha256(begin)
        self._pieces: SimpleQueue[memoryview | None] = SimpleQueue()
        self._thread: Thread | None = None

    def update(self, piece: memoryview) -> None:
        """Append a piece."""
        if self._thread is None and len(piece) < _LARGE:
            self._digest.update(piece)
            return
        if self._thread is None:
            thread = Thread(target=self._work, name="onstage-digest", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is shutting down
                self._digest.update(piece)
                return
            self._thread = thread
        self._pieces.put(piece)

    def hexdigest(self) -> str:
        """Wait for the pieces so far, and return their digest."""
        self.close()
        return self._digest.hexdigest()

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._pieces.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._digest.update(piece)
