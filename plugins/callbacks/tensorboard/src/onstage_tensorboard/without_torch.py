"""tensorboardX, imported without torch."""

from __future__ import annotations

import sys
import threading
from typing import Any


class _NoTorch:
    """Finder by which this thread does not find torch.

    tensorboardX imports it if it is installed, which takes seconds and memory, for
    annotations only: it takes the tensors of a program that uses torch all the same.
    """

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(self, name: str, *_: object) -> None:
        if name == "torch" and threading.get_ident() == self._thread:
            raise ModuleNotFoundError("No module named 'torch'", name=name)


_finder: Any = _NoTorch()
sys.meta_path.insert(0, _finder)
try:
    import tensorboardX as tensorboardX  # type: ignore[import-untyped]  # it has no types
finally:
    sys.meta_path.remove(_finder)
