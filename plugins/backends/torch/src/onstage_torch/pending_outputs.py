"""Outputs of a prediction on their way from a GPU to the host."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor

from onstage_torch.pytree import map_leaves, to_arrays, tree_leaves


class PendingOutputs:
    """Outputs of one batch, in pinned memory when the device has copied them.

    Parameters
    ----------
    outputs
        A nest with tensors of the device.
    device
        The device.

    Attributes
    ----------
    nbytes
        Size of the pinned memory.
    """

    def __init__(self, outputs: Any, device: torch.device) -> None:
        self._outputs = map_leaves(_begin_copy, outputs)
        module = torch.get_device_module(device)
        self._copied: Any = module.Event()
        self._copied.record(module.current_stream(device))
        self.nbytes = sum(leaf.nbytes for leaf in tree_leaves(self._outputs) if isinstance(leaf, Tensor))

    def read(self) -> Any:
        """Return numpy arrays with memory of their own; wait for the copies."""
        if self._copied is not None:
            self._copied.synchronize()
            self._copied = None
            self._outputs = to_arrays(self._outputs)
        return self._outputs


class OutputQueue:
    """Batches whose outputs are copied to the host; waits if they exceed a limit.

    Parameters
    ----------
    device
        Device of the outputs.
    limit
        Bytes of pinned memory, beyond which the oldest batches are waited for.

    Attributes
    ----------
    nbytes
        Bytes on the way.
    """

    def __init__(self, device: torch.device, limit: int = 2**28) -> None:
        self._device = device
        self._limit = limit
        self._pending: deque[PendingOutputs] = deque()
        self.nbytes = 0

    def add(self, outputs: Any) -> PendingOutputs:
        """Begin to copy the outputs of a batch."""
        added = PendingOutputs(outputs, self._device)
        self._pending.append(added)
        self.nbytes += added.nbytes
        while self.nbytes > self._limit:
            oldest = self._pending.popleft()
            oldest.read()
            self.nbytes -= oldest.nbytes
        return added

    def clear(self) -> None:
        """Forget the batches; what `add` returned can still be read."""
        self._pending.clear()
        self.nbytes = 0


def _begin_copy(leaf: Any) -> Any:
    if not isinstance(leaf, Tensor):
        return leaf
    if leaf.dtype is torch.bfloat16:  # numpy lacks it.
        leaf = leaf.float()
    # Without blocking, torch allocates pinned memory for tensors of a GPU.
    return leaf.detach().to("cpu", non_blocking=True, copy=True)
