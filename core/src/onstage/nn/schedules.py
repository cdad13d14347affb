"""Learning rate schedules: the rate as a function of the optimizer step."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from onstage.nn import serialization
from onstage.validation import validate_bool, validate_float, validate_int, validate_optional_float

__all__ = [
    "CosineDecay",
    "ExponentialDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "get",
]


class LearningRateSchedule:
    """A learning rate as a function of the optimizer step.

    Pass one to an optimizer as ``learning_rate``. To write one, override
    ``__call__``, and ``get_config`` if the model will be saved. For a schedule
    by epochs use the callback ``LearningRateScheduler``.

    Examples
    --------
    >>> from onstage.optimizers import SGD
    >>> class Halving(LearningRateSchedule):
    ...     def __call__(self, step):
    ...         return 0.1 * 0.5 ** (step // 1000)
    >>> SGD(Halving()).learning_rate
    0.1
    """

    def __call__(self, step: int) -> float:
        """Return the rate for a step, counted from 0."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, step)")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        raise NotImplementedError(f"{type(self).__name__} must define get_config(self) to be saved")


class ExponentialDecay(LearningRateSchedule):
    """``initial_learning_rate * decay_rate ** (step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate
        Rate at step 0.
    decay_steps
        Number of steps over which the rate is multiplied by `decay_rate`.
    decay_rate
        Factor, > 0.
    staircase
        Whether to round the exponent down, so that the rate falls in steps.

    Examples
    --------
    >>> schedule = ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)
    >>> schedule(0), schedule(200)
    (0.1, 0.025)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate = validate_float("initial_learning_rate", initial_learning_rate, 0)
        self.decay_steps = validate_int("decay_steps", decay_steps, 1)
        self.decay_rate = validate_float("decay_rate", decay_rate, 0, exclude={0})
        self.staircase = validate_bool("staircase", staircase)
        self.name = name

    def __call__(self, step: int) -> float:
        """Return the rate for a step, counted from 0."""
        exponent = step // self.decay_steps if self.staircase else step / self.decay_steps
        return float(self.initial_learning_rate * self.decay_rate**exponent)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


class CosineDecay(LearningRateSchedule):
    """Cosine decay after an optional linear warm-up.

    Parameters
    ----------
    initial_learning_rate
        Rate at step 0.
    decay_steps
        Number of decay steps, after the warm-up.
    alpha
        Final rate as a fraction of the rate at the start of the decay, in
        [0, 1].
    warmup_target
        Rate at the end of the warm-up and start of the decay. None for no
        warm-up.
    warmup_steps
        Number of warm-up steps.

    References
    ----------
    Loshchilov, Hutter: *SGDR: Stochastic Gradient Descent with Warm Restarts*
    (2017). Goyal et al.: *Accurate, Large Minibatch SGD* (2017), for the warm-up.

    Examples
    --------
    >>> schedule = CosineDecay(0.0, decay_steps=1000, warmup_target=0.1, warmup_steps=100)
    >>> schedule(0), schedule(50), schedule(100), schedule(1100)
    (0.0, 0.05, 0.1, 0.0)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate = validate_float("initial_learning_rate", initial_learning_rate, 0)
        self.decay_steps = validate_int("decay_steps", decay_steps, 1)
        self.alpha = validate_float("alpha", alpha, 0, 1)
        self.name = name
        self.warmup_target = validate_optional_float("warmup_target", warmup_target, 0)
        self.warmup_steps = validate_int("warmup_steps", warmup_steps, 0)

    def __call__(self, step: int) -> float:
        """Return the rate for a step, counted from 0."""
        if self.warmup_target is None:
            return self._decay(step, self.initial_learning_rate)
        if step < self.warmup_steps:
            rise = self.warmup_target - self.initial_learning_rate
            return self.initial_learning_rate + rise * step / self.warmup_steps
        return self._decay(step - self.warmup_steps, self.warmup_target)

    def _decay(self, step: int, start: float) -> float:
        done = min(step, self.decay_steps) / self.decay_steps
        cosine = 0.5 * (1.0 + math.cos(math.pi * done))
        return start * ((1.0 - self.alpha) * cosine + self.alpha)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "name": self.name,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
        }


class PiecewiseConstantDecay(LearningRateSchedule):
    """A constant rate between each two boundaries.

    Parameters
    ----------
    boundaries
        Steps, strictly increasing. A boundary is the last step of its rate.
    values
        Rates, one more than boundaries.

    Examples
    --------
    >>> schedule = PiecewiseConstantDecay([1000, 2000], [0.1, 0.01, 0.001])
    >>> schedule(1000), schedule(1001)
    (0.1, 0.01)
    """

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"
    ) -> None:
        self.boundaries = [validate_float("boundaries", each) for each in boundaries]
        self.values = [validate_float("values", each, 0) for each in values]
        self.name = name
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"values must be one more than boundaries, got {len(self.values)} for "
                f"{len(self.boundaries)} boundaries; the first value is the rate up to the first boundary"
            )
        if any(b <= a for a, b in zip(self.boundaries, self.boundaries[1:], strict=False)):
            raise ValueError(f"boundaries must be strictly increasing, got {list(boundaries)}")

    def __call__(self, step: int) -> float:
        """Return the rate for a step, counted from 0."""
        return self.values[bisect_left(self.boundaries, step)]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"boundaries": list(self.boundaries), "values": list(self.values), "name": self.name}


class PolynomialDecay(LearningRateSchedule):
    """Polynomial decay from the initial to the end rate.

    Parameters
    ----------
    initial_learning_rate
        Rate at step 0.
    decay_steps
        Number of steps until `end_learning_rate` is reached.
    end_learning_rate
        Rate from then on.
    power
        Exponent, > 0: 1 decays linearly, 2 quadratically.
    cycle
        Whether to restart after every `decay_steps` steps, with the decay
        extended to the next multiple of `decay_steps`.

    Examples
    --------
    >>> schedule = PolynomialDecay(0.5, decay_steps=100, end_learning_rate=0.25)
    >>> schedule(0), schedule(50), schedule(100)
    (0.5, 0.375, 0.25)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate = validate_float("initial_learning_rate", initial_learning_rate, 0)
        self.decay_steps = validate_int("decay_steps", decay_steps, 1)
        self.end_learning_rate = validate_float("end_learning_rate", end_learning_rate, 0)
        self.power = validate_float("power", power, 0, exclude={0})
        self.cycle = validate_bool("cycle", cycle)
        self.name = name

    def __call__(self, step: int) -> float:
        """Return the rate for a step, counted from 0."""
        cycles = max(1, -(-step // self.decay_steps)) if self.cycle else 1
        span = self.decay_steps * cycles
        left = 1.0 - min(step, span) / span
        fall = self.initial_learning_rate - self.end_learning_rate
        return float(self.end_learning_rate + fall * left**self.power)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
            "cycle": self.cycle,
            "name": self.name,
        }


_SCHEDULES: dict[str, type[LearningRateSchedule]] = serialization.by_name(
    [ExponentialDecay, CosineDecay, PiecewiseConstantDecay, PolynomialDecay]
)


def get(identifier: object) -> LearningRateSchedule:
    """Return a schedule from an instance or a saved configuration."""
    if isinstance(identifier, LearningRateSchedule):
        return identifier
    return serialization.deserialize("schedule", identifier, _SCHEDULES)
