"""The module as training calls it: compiled, and sharing gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from onstage_torch.distributed import ProcessGroup


class SharedNetwork:
    """Returns the network that training calls in place of the module.

    DistributedDataParallel shares the gradients of the parameters that were
    trainable when it was made, so it is made again if these change.

    Parameters
    ----------
    compile
        Whether the module is compiled with ``torch.compile``.
    options
        Arguments of DistributedDataParallel.
    """

    def __init__(
        self, module: nn.Module, group: ProcessGroup, *, compile: bool, options: Mapping[str, Any]
    ) -> None:
        self._module = module
        self._group = group
        self._options = options
        self._unshared: Any = torch.compile(module) if compile else module
        self._shared: Any = None
        self._trainable: list[int] = []
        self()

    def __call__(self) -> Any:
        """Return the network; all processes must call it together."""
        if self._group.world == 1:
            return self._unshared
        trainable = [id(each) for each in self._module.parameters() if each.requires_grad]
        if trainable != self._trainable:
            self._shared = None  # Its hooks are removed before the next one adds its own.
            self._shared = self._group.wrap(self._unshared, self._options)
            self._trainable = trainable
        return self._shared
