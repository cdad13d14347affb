"""Modes of a computation: training or evaluation, deterministic or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class TrainMode:
    """Switches a module between the modes, and back to those that the user set.

    A batch normalization in evaluation mode, to freeze it, stays frozen after
    a validation.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._saved: list[tuple[nn.Module, bool]] | None = None

    def evaluate(self) -> None:
        """Put all submodules into evaluation mode."""
        if self._saved is None:
            self._saved = [(each, each.training) for each in self._module.modules()]
            self._module.eval()

    def restore(self) -> None:
        """Restore the mode that every submodule had before `evaluate`."""
        if self._saved is not None:
            for each, training in self._saved:
                each.training = training
            self._saved = None

    def train(self) -> None:
        """Put the submodules that the user has not frozen into training mode."""
        self.restore()
        if not self._module.training:
            self._module.train()


@contextmanager
def switch_mode(module: nn.Module, training: bool) -> Iterator[None]:
    """Put a module into training or evaluation mode; restore each submodule's own afterwards.

    A module that is in that mode already keeps those of its submodules.
    """
    saved = [(each, each.training) for each in module.modules()]
    if module.training != training:
        module.train(training)
    try:
        yield
    finally:
        for each, was in saved:
            each.training = was


@contextmanager
def deterministic_algorithms(wanted: bool) -> Iterator[None]:
    """Let torch use only deterministic algorithms, if wanted; restore its setting afterwards."""
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
