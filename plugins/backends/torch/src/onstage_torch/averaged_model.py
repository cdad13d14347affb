"""AveragedModel: the moving average of a model's weights, as callbacks use it."""

from __future__ import annotations

from onstage.model import Array
from onstage.state import copy_state
from onstage_torch.ema import MovingAverage


class AveragedModel:
    """The part of `TorchModel` that keeps an average of the weights."""

    _average: MovingAverage | None

    @property
    def use_ema(self) -> bool:
        """Whether an average of the weights is kept."""
        return self._average is not None

    @property
    def ema_average(self) -> list[Array] | None:
        """Copies of the averaged parameters, in the module's order; None without."""
        return None if self._average is None else list(copy_state(self._average.state_dict()).values())

    def swap_ema_average(self) -> None:
        """Exchange the weights with their average, in place; before the first step, do nothing.

        Raises
        ------
        ValueError
            If the model keeps no average.
        """
        if self._average is None:
            raise ValueError("use_ema must be True for an average of the weights, got a model without")
        self._average.swap()

    def finalize_weights(self) -> None:
        """End a training: replace the weights by their average, if there is one."""
        if self._average is not None:
            self._average.finalize()
