"""Training and evaluation mode, submodule by submodule."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
