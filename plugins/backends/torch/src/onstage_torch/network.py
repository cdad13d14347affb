"""The module as training calls it: compiled, and sharing gradients."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any, TypeAlias

import torch
from torch import nn

from onstage.errors import did_you_mean
from onstage.validation import validate_choice
from onstage_torch.distributed import ProcessGroup

Compile: TypeAlias = bool | str | Mapping[str, Any]
"""Whether to compile a module; or the mode, or the arguments, of ``torch.compile``."""

MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


def _compiled(module: nn.Module, compile: Compile) -> Any:
    if compile is False:
        return module
    if compile is True:
        return torch.compile(module)
    if isinstance(compile, str):
        return torch.compile(module, mode=validate_choice("compile", compile, MODES))
    if not isinstance(compile, Mapping):
        raise TypeError(
            f"compile must be a bool, a mode or a dict of torch.compile's arguments, got {compile!r}"
        )
    known = [name for name in signature(torch.compile).parameters if name != "model"]
    for name in compile:
        if name not in known:
            raise TypeError(f"torch.compile has no argument {name!r}{did_you_mean(str(name), known)}")
    return torch.compile(module, **compile)


class SharedNetwork:
    """Returns the network that training calls in place of the module.

    DistributedDataParallel shares the gradients of the parameters that were
    trainable when it was made, so it is made again if these change.

    Parameters
    ----------
    compile
        Whether the module is compiled with ``torch.compile``; its mode, or its
        arguments.
    options
        Arguments of DistributedDataParallel.

    Attributes
    ----------
    unshared
        The module, compiled or not, for evaluations and predictions.
    """

    def __init__(
        self, module: nn.Module, group: ProcessGroup, *, compile: Compile, options: Mapping[str, Any]
    ) -> None:
        self._module = module
        self._group = group
        self._options = options
        self.unshared: Any = _compiled(module, compile)
        self._shared: Any = None
        self._trainable: list[int] = []
        self()

    def __call__(self) -> Any:
        """Return the network; all processes must call it together."""
        if self._group.world == 1:
            return self.unshared
        trainable = [id(each) for each in self._module.parameters() if each.requires_grad]
        if trainable != self._trainable:
            self._shared = None  # Its hooks are removed before the next one adds its own.
            self._shared = self._group.wrap(self.unshared, self._options)
            self._trainable = trainable
        return self._shared
