"""Arguments that all optimizers accept."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import NoReturn, TypedDict

from onstage.errors import did_you_mean
from onstage.nn import schedules
from onstage.nn.schedules import LearningRateSchedule
from onstage.validation import validate_float


class OtherOptions(TypedDict, total=False):
    """Options except `weight_decay`, which AdamW declares itself."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    name: str | None


class Options(OtherOptions, total=False):
    """Arguments that all optimizers accept; see `Optimizer`."""

    weight_decay: float | None


def reject_unknown(optimizer: type, name: str) -> NoReturn:
    """Raise TypeError for an argument that the optimizer does not accept."""
    known = {*signature(optimizer).parameters, *Options.__annotations__} - {"options", "unknown"}
    hint = "; did you mean 'learning_rate'?" if name == "lr" else did_you_mean(name, known)
    raise TypeError(f"{optimizer.__name__} has no argument {name!r}{hint}")


def validate_learning_rate(value: object) -> float | LearningRateSchedule:
    """Return a number >= 0 as a float, or a schedule or its configuration as one.

    Raises
    ------
    ValueError, TypeError
        If it is neither.
    """
    if isinstance(value, LearningRateSchedule | Mapping):
        return schedules.get(value)
    if isinstance(value, str) or callable(value):
        raise TypeError(
            f"learning_rate must be a number >= 0 or a LearningRateSchedule, got {value!r}; "
            "subclass LearningRateSchedule to compute it from the step"
        )
    return validate_float("learning_rate", value, 0)


def replace_rate(rate: float | LearningRateSchedule, value: object) -> float | LearningRateSchedule:
    """Return the validated new rate; a number cannot replace a schedule.

    Raises
    ------
    ValueError, TypeError
        If it is not a valid rate, or a number to replace a schedule.
    """
    new = validate_learning_rate(value)
    if isinstance(new, float) and not isinstance(rate, float):
        raise TypeError(
            f"learning_rate follows {type(rate).__name__} and cannot be set to {value!r}; make the optimizer "
            "with a number as learning_rate, or remove the callback or code that sets it"
        )
    return new
