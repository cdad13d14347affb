"""Training and evaluation mode, submodule by submodule."""

from __future__ import annotations

from torch import nn


class TrainMode:
    """Switches a module between the two, and back to what the user had set.

    A batch normalisation that was put into evaluation mode to freeze it is
    still frozen after a validation.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._kept: list[tuple[nn.Module, bool]] | None = None

    def evaluate(self) -> None:
        """Put all into evaluation mode."""
        if self._kept is None:
            self._kept = [(each, each.training) for each in self._module.modules()]
            self._module.eval()

    def restore(self) -> None:
        """Give every submodule the mode from before `evaluate`."""
        if self._kept is not None:
            for each, training in self._kept:
                each.training = training
            self._kept = None

    def train(self) -> None:
        """Put what the user has not frozen into training mode."""
        self.restore()
        if not self._module.training:
            self._module.train()
