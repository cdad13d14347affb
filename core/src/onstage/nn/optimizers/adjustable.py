"""The part of an optimizer that callbacks read and set between steps."""

from __future__ import annotations

from onstage.hyperparameters import LearningRate
from onstage.nn.optimizers.hyperparameters import StepCount, validate_iterations
from onstage.nn.optimizers.options import replace_rate
from onstage.nn.schedules import LearningRateSchedule


class AdjustableOptimizer:
    """Learning rate and number of steps; base class of `Optimizer`."""

    _rate: float | LearningRateSchedule
    _iterations: int

    @property
    def learning_rate(self) -> LearningRate:
        """Learning rate of the next step.

        May be set to a number or a schedule; a number raises TypeError if the
        rate is a schedule.
        """
        return LearningRate(self._current_rate(), self)

    @learning_rate.setter
    def learning_rate(self, value: float | LearningRateSchedule) -> None:
        self._rate = replace_rate(self._rate, value)

    @property
    def lr(self) -> LearningRate:
        """The name of `learning_rate` in Keras 1 and 2."""
        return self.learning_rate

    @lr.setter
    def lr(self, value: float | LearningRateSchedule) -> None:
        self.learning_rate = value

    @property
    def decay(self) -> float:
        """Always 0, for callbacks of Keras 2 that print the decayed rate.

        `learning_rate` is the rate of the next step already, also under a
        schedule.
        """
        return 0.0

    @property
    def iterations(self) -> StepCount:
        """Number of steps made; may be set, which moves schedules and bias corrections."""
        return StepCount(self._iterations, self)

    @iterations.setter
    def iterations(self, value: int) -> None:
        self._iterations = validate_iterations(value)

    def _current_rate(self) -> float:
        return self._rate if isinstance(self._rate, float) else float(self._rate(self._iterations))
