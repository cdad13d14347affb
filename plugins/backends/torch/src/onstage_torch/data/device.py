"""Move batches to the device, in the types that the module works with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from onstage.model import Batch
from onstage_torch.pytree import map_leaves


class ToDevice:
    """Moves batches to a device; a tensor that is there in the right type is kept.

    Floating values get the type of the module's weights, class numbers become
    int64. To a GPU they are copied on a stream of their own: the host does not
    wait, and goes on to copy the next batch while the GPU computes.

    Parameters
    ----------
    device
        Target of the batches.
    module
        Its first floating parameter determines the type.
    channels_last
        Whether inputs of four axes get torch's memory format of that name.
    """

    def __init__(self, device: torch.device, module: nn.Module, *, channels_last: bool = False) -> None:
        self.device = device
        self._channels_last = channels_last
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None
        # Cheaper to compare than the device itself; -1 is the CPU's.
        number = torch.empty(0, device=device).get_device()
        self._number = number if device.type == "cpu" or number >= 0 else None
        self._dtype = next(
            (each.dtype for each in module.parameters() if each.is_floating_point()),
            torch.get_default_dtype(),
        )

    def __call__(self, batch: Batch) -> tuple[Any, Any, Tensor | None]:
        """Return x, y and sample_weight on the device.

        Raises
        ------
        ValueError
            If the weights are not one number for each sample.
        """
        x, y, weights = batch
        if (
            type(x) is not Tensor
            or x.dtype is not self._dtype
            or x.get_device() != self._number
            or self._channels_last
        ):
            x = self.inputs(x)
        if type(y) is not Tensor or y.dtype is not torch.int64 or y.get_device() != self._number:
            y = self._targets(y)
        return x, y, None if weights is None else self._weights(weights)

    def inputs(self, tree: Any) -> Any:
        """Return an input on the device: a tensor, an array, or a nest of them."""
        return self._input(tree) if isinstance(tree, Tensor) else map_leaves(self._input, tree)

    def _input(self, value: Any) -> Any:
        tensor = self._leaf(value)
        if self._channels_last and tensor.dim() == 4:
            return tensor.contiguous(memory_format=torch.channels_last)
        return tensor

    def _weights(self, weights: Any) -> Tensor:
        """Return one weight for each sample, so that it never broadcasts against the losses."""
        tensor: Tensor = self._leaf(weights)
        if tensor.dim() == 2 and tensor.shape[1] == 1:
            return tensor[:, 0]
        if tensor.dim() != 1:
            raise ValueError(
                f"sample_weight must be one number for each sample, got shape {tuple(tensor.shape)}"
            )
        return tensor

    def _targets(self, tree: Any) -> Any:
        return self._target(tree) if isinstance(tree, Tensor) else map_leaves(self._target, tree)

    def _leaf(self, value: Any) -> Any:
        tensor = value if isinstance(value, Tensor) else as_tensor(value)
        if tensor.device != self.device:
            tensor = self._copy(tensor)
        if tensor.is_floating_point() and tensor.dtype is not self._dtype:
            tensor = tensor.to(self._dtype)
        return tensor

    def _target(self, value: Any) -> Any:
        tensor = self._leaf(value)
        if tensor.dtype is torch.int64 or tensor.is_floating_point() or tensor.dtype is torch.bool:
            return tensor
        return tensor.long()

    def _copy(self, tensor: Tensor) -> Tensor:
        if self._copies is None or tensor.device.type != "cpu" or tensor.layout is not torch.strided:
            return copy_async(tensor, self.device)
        steps = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self._copies):
            copied = copy_async(tensor, self.device)
        steps.wait_stream(self._copies)
        # Its memory belongs to the stream of copies: keep it until the step has run.
        copied.record_stream(steps)
        return copied


def copy_async(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; with a GPU the host does not wait for the copy.

    The copy starts from pinned memory, which torch keeps until it is complete,
    and then uses again.
    """
    if device.type == "cuda" and tensor.device.type == "cpu" and not tensor.is_pinned():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=device.type != "cpu")


def as_tensor(value: Any) -> Tensor:
    """Return an array as a tensor, on the same memory if torch may write to it."""
    array = np.asarray(value)
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    return torch.from_numpy(array)


def call_module(module: Any, x: Any) -> Any:
    """Call a module with a batch; tuple or dict inputs become its arguments."""
    if isinstance(x, Tensor):
        return module(x)
    if isinstance(x, Mapping):
        return module(**x)
    return module(*x)
